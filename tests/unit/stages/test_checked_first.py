"""What is wrong with an input is said before anything is drawn, on the terminal or on the disk."""

from pathlib import Path

import pytest

from hipp_prune.cli import main

LINES = [
    "evaluate --model nowhere/at/all --questions toyworld",
    "evaluate --model toy-llava --questions toyworld --device nowhere",
    "recover nowhere/at/all --out OUT/r --questions toyworld",
    "recover toy-llava --out OUT/r --questions toyworld --teacher nowhere/at/all",
    "recover toy-llava --out OUT --questions toyworld",
    "calibrate --model nowhere/at/all --questions toyworld --out OUT/run",
    "baseline --model nowhere/at/all --questions toyworld --method flap --sparsity 0.2 --out OUT/b",
    "export nowhere/at/all --format gguf --out OUT/g",
    "search OUT/none",
    "auto nowhere/at/all --questions toyworld --sparsity 0.3 --out OUT/a",
    "auto toy-llava --questions toyworld --fit 1MB --out OUT/a",
    "auto toy-llava --questions toyworld --sparsity 0.3 --out OUT",
    "auto toy-llava --questions toyworld --out OUT/a",
    "quickstart --model nowhere/at/all --out OUT/demo",
]


@pytest.mark.parametrize("line", LINES)
def test_a_wrong_input_draws_nothing(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(*_: object, **__: object) -> None:
        raise AssertionError("the world was drawn")

    monkeypatch.setattr("hipp_prune.questions.toyworld.write", drawn)
    (tmp_path / "mine").write_text("mine")
    assert main(line.replace("OUT", str(tmp_path)).split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("hipp-prune: ")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
