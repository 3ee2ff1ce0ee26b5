"""What is asked for and what comes of it mean one thing: roles, lost plans, alignments."""

import shutil
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.plans.plan import Plan
from hipp_prune.questions.question import Question
from hipp_prune.stages import evaluate as stage
from tests.e2e.conftest import SEARCH, Benchmarks, Finished, Refused


def test_a_run_of_one_role_refuses_preferences_for_the_other(
    tmp_path: Path, llava: Path, benchmarks: Benchmarks, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    run, plan = tmp_path / "run", str(tmp_path / "plan.json")
    asked = ("--questions", f"scienceqa:{benchmarks.scienceqa}", "--count", "4")
    assert main(["calibrate", "--model", str(llava), *asked, "--out", str(run)]) == 0
    assert main(["search", str(run), *SEARCH]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the questions measure only utility; no preference can weigh robustness" in said
    assert "--preference 0,1,1 --out plan.json" in said
    message = refused(["query", run, "--preference", "1,1,1", "--out", plan])
    assert "weighs robustness, which this run did not measure" in message
    assert "ask for 0,0.5,0.5" in message
    message = refused(["prune", "--run", run, "--preference", "1,0,0", "--out", tmp_path / "smaller"])
    assert "weighs robustness" in message
    assert main(["query", str(run), "--preference", "0,1,1", "--out", plan]) == 0


def test_query_and_prune_print_what_was_asked_and_what_was_got(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(shutil.copytree(finished.run, tmp_path / "run"))
    ask = ["--preference", "1,1,1", "--sparsity", "0.3"]
    for words in (["query", run, *ask], ["prune", "--run", run, *ask, "--out", str(tmp_path / "smaller")]):
        assert main(words) == 0
        assert "asked for 30.00% of MLP parameters, got " in capsys.readouterr().out
    card = (tmp_path / "smaller" / "README.md").read_text(encoding="utf-8")
    assert "asked for 30.00% of MLP parameters, got " in card
    assert main(["report", run]) == 0
    page = (Path(run) / "report.html").read_text(encoding="utf-8")
    assert "asked for 30.00% of MLP parameters, got " in page


def test_blocks_narrower_than_the_alignment_keep_what_divides_it_and_that_is_said(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(shutil.copytree(finished.run, tmp_path / "run"))
    words = ["query", run, "--preference", "1,1,1", "--sparsity", "0.3", "--align", "64"]
    assert main([*words, "--out", str(tmp_path / "plan.json")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "widths in multiples of 16, since a block is narrower than 64" in said
    plan = Plan.from_json((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert {kept % 16 for kept in plan.kept} == {0}
    assert plan.notes["align"] == 16


def test_a_pruned_checkpoint_without_its_plan_is_not_called_dense(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, out = Path(shutil.copytree(finished.checkpoint, tmp_path / "lost")), tmp_path / "results.json"
    for name in ("plan.json", "files.jsonl"):
        (lost / name).unlink()
    words = ["evaluate", "--model", str(lost), "--questions", *finished.benchmarks.specs, "--limit", "4"]
    assert main([*words, "--out", str(out)]) == 0
    assert "is a pruned checkpoint, but neither plan.json nor ledger.json" in " ".join(
        capsys.readouterr().err.split()
    )
    assert Scorecard.load(out).label == "pruned"


def test_speed_is_measured_on_as_many_questions_as_it_was_told(
    llava: Path, benchmarks: Benchmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[Question]] = []

    def measure(_: object, __: object, questions: list[Question], **___: object) -> list[float]:
        asked.append(questions)
        return []

    monkeypatch.setattr(stage, "measure_speedups", measure)
    stage.speedups(str(llava), [], [f"pope:{benchmarks.pope}"], limit=6)
    stage.speedups(str(llava), [], benchmarks.specs, limit=6)
    assert [len(each) for each in asked] == [6, 6]
    assert len({question.benchmark for question in asked[1]}) == 2
