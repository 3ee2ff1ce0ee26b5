"""Quickstart goes on where it was stopped, and mixes nothing."""

import shlex
from pathlib import Path

import pytest

from hipp_prune.cli.entry import main
from hipp_prune.cli.quickstart import Quickstart
from hipp_prune.stages.pipeline import Pipeline
from tests.tiny import tiny_qwen2_5_vl

WORDS = ["quickstart", "--questions", "toyworld,count=24", "--evaluations", "24", "--limit", "10"]


class Killed(BaseException):
    """What a kill is to the code."""


def _stop_before(owner: type, name: str, patch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    patch.setattr(owner, name, killed)


def _ages(run: Path) -> dict[str, int]:
    """When what took long was written."""
    names = ("calibration.safetensors", "search/planner.safetensors", "checkpoints/*/model.safetensors")
    found = [path for name in names for path in run.glob(name)]
    return {path.relative_to(run).as_posix(): path.stat().st_mtime_ns for path in found}


def test_stopped_anywhere_the_same_command_goes_on_and_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, before = tmp_path / "demo", {}
    model = str(tiny_qwen2_5_vl(tmp_path))
    words = [*WORDS, "--model", model, "--out", str(run)]
    for owner, name in ((Quickstart, "_preferences"), (Pipeline, "with_speedups")):
        with monkeypatch.context() as patch:
            _stop_before(owner, name, patch)
            with pytest.raises(Killed):
                main(words)
        ages = _ages(run)
        assert ages.items() >= before.items(), "a finished stage was done again"
        before = ages
    assert len(before) == 5
    monkeypatch.setattr("hipp_prune.stages.evaluate.measure_speedups", lambda *_, **__: [1.0, 1.0, 1.0])
    assert main(words) == 0
    assert _ages(run) == before
    assert (run / "report.html").is_file()

    for flag, value, told in (
        ("--seed", "1", "seed 0 → 1"),
        ("--model", "toy-llava", f"{model!r} → 'toy-llava'"),
        ("--evaluations", "25", "evaluations 24 → 25"),
    ):
        capsys.readouterr()
        assert main([*words, flag, value]) == 2
        said = capsys.readouterr().err
        assert told in said
        assert "--force to start over" in said
    assert _ages(run) == before


def test_what_comes_next_is_a_query_that_the_run_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, run = tmp_path / "mine.csv", tmp_path / "demo"
    rows = [f"Is {number} more than 30?,{'Yes' if number > 30 else 'No'}" for number in range(60)]
    table.write_text("\n".join(["question,answer", *rows]), encoding="utf-8")
    monkeypatch.setattr("hipp_prune.stages.evaluate.measure_speedups", lambda *_, **__: [1.0, 1.0, 1.0])
    words = ["quickstart", "--questions", str(table), "--evaluations", "24", "--limit", "10"]
    words += ["--model", str(tiny_qwen2_5_vl(tmp_path)), "--sparsity", "0.3", "0.5", "--out", str(run)]
    assert main(words) == 0
    said = capsys.readouterr().err
    following = next(line for line in said.splitlines() if line.strip().startswith("hipp-prune query"))
    assert following.split()[-1] == "0.4"
    assert main(shlex.split(following)[1:]) == 0


def test_a_foreign_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    thesis = tmp_path / "demo" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("mine")
    for force in ([], ["--force"]):
        assert main([*WORDS, "--out", str(thesis.parent), *force]) == 2
        assert "is left alone" in capsys.readouterr().err
    assert [path.name for path in thesis.parent.iterdir()] == ["thesis.tex"]
