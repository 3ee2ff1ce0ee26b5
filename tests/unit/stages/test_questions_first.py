"""Of a hub name the questions are looked at before its weights are fetched: gigabytes for a typing error in a table."""

import json
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

import hipp_prune.models.loading as models
import hipp_prune.stages.loading as stages
from hipp_prune.cli import main
from tests.tiny import tiny_llava

VERBS = [
    "auto owner/model --questions SPEC --sparsity 0.3 --out OUT/smaller",
    "auto owner/model --questions SPEC --sparsity 0.3 --recover --out OUT/smaller",
    "calibrate --model owner/model --questions SPEC --out OUT/run",
    "evaluate --model owner/model --questions SPEC",
    "evaluate --model owner/model --dense owner/model --questions SPEC",
    "recover owner/model --questions SPEC --out OUT/recovered",
    "baseline --model owner/model --questions SPEC --method flap --sparsity 0.2 --out OUT/flap",
]
COMPARE = "compare --models owner/model --questions SPEC --methods flap --budgets 0.2 --out OUT/compared"
"""Its workers are processes of their own, which a test cannot hand a hub."""


class WeightsAskedError(Exception):
    """The hub was asked for weights."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One model, whose small files it sends and whose weights nobody gets."""
    whole, snapshot = tiny_llava(tmp_path / "whole"), tmp_path / "snapshot"
    shutil.copytree(whole, snapshot, ignore=shutil.ignore_patterns("*.safetensors"))

    def send(name: str, *, allow_patterns: Sequence[str] | None = None) -> str:
        if allow_patterns is None or any(fnmatch("model.safetensors", each) for each in allow_patterns):
            raise WeightsAskedError(name)
        return str(snapshot)

    def load(name: str, **_: object) -> None:
        raise WeightsAskedError(name)

    monkeypatch.setattr(stages, "load_model", load)
    monkeypatch.setattr(models, "snapshot_download", send)
    monkeypatch.setattr(models, "refuse_early", lambda *_, **__: None)


def words_of(line: str, folder: Path, *, broken: bool) -> list[str]:
    """A command about a table of 80 questions, of which one may lack its answer."""
    table = folder / "mine.jsonl"
    rows = [
        {"question": f"Is {number} even?", "answer": "no" if number % 2 else "yes"} for number in range(80)
    ]
    rows[70] |= {"answer": "  "} if broken else {}
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return line.replace("OUT", str(folder)).replace("SPEC", str(table)).split()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("line", [*VERBS, COMPARE])
def test_a_table_is_read_before_weights_are_fetched(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words_of(line, tmp_path, broken=True)) == 2
    assert "mine.jsonl:71: expected an answer" in capsys.readouterr().err


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("line", VERBS)
def test_weights_are_fetched_for_a_table_without_faults(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words_of(line, tmp_path, broken=False)) == 1
    assert "WeightsAskedError" in capsys.readouterr().err
