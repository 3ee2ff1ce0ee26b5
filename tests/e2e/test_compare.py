"""Ways to prune compared through the command line: cell by cell, and tables from the answers alone."""

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree

import pytest
import torch

from hipp_prune.baselines import planning
from hipp_prune.checkpoints.ledger import checkpoint_compensation
from hipp_prune.cli import main
from hipp_prune.experiments.compare.cell_results import AnswerColumns, CellResult
from hipp_prune.experiments.compare.cells import Cell, Contender, all_jobs
from hipp_prune.experiments.compare.settings import RECOVERY, CompareSettings
from hipp_prune.experiments.compare.worker import Worker
from hipp_prune.models import load_model
from hipp_prune.plans.preference import Preference
from hipp_prune.pruning.reconstruction import PrunedMlp
from hipp_prune.pruning.sequential import fit_sequentially
from tests.e2e.conftest import Benchmarks, Refused
from tests.e2e.documents import last_document


@pytest.fixture
def model(tmp_path: Path, llava: Path) -> Path:
    """A copy that a test may delete."""
    return copytree(llava, tmp_path / "vlm")


def words(out: Path, model: Path, benchmarks: Benchmarks, *more: str) -> list[str]:
    compare = ["compare", "--out", str(out), "--models", str(model), "--questions", *benchmarks.specs]
    compare += ["--methods", "dense", "wanda-rows", "flap", "hybrid", "--budgets", "0.3", "--seeds", "1"]
    compare += [
        "--preferences",
        "1,0,0",
        "1,1,1",
        "--evaluations",
        "16",
        "--calibration",
        "12",
        "--limit",
        "30",
    ]
    return [*compare, "--lora-blocks", "1", "--workers", "1", *more, "--steps", "2"]


def test_a_comparison_goes_on_where_it_was_stopped_and_its_tables_need_no_model(
    tmp_path: Path, model: Path, benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    out, results = tmp_path / "compared", tmp_path / "results"
    compare = words(out, model, benchmarks, "--results", str(results))
    assert main(compare) == 0
    printed = capsys.readouterr()
    assert "[7/7]" in printed.err
    assert "HiPP-Prune is" in printed.out
    with (results / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["method"] for row in rows) == {"dense": 2, "wanda-rows": 2, "flap": 2, "hybrid": 4}
    assert {row["stage"] for row in rows} == {"before", "after"}
    assert all(0 <= float(row["utility"]) <= 1 and row["num_robustness"] == "30" for row in rows)
    saved = {row["method"]: float(row["saved_mlp"]) for row in rows if row["stage"] == "before"}
    assert saved["dense"] == 0
    assert saved["flap"] == pytest.approx(0.3, abs=0.02)
    assert not list(out.glob("checkpoints/**/*.safetensors"))

    assert main([*compare, "--json"]) == 0
    said = capsys.readouterr()
    told = said.err.splitlines()
    assert any(line.startswith("warning: test: ") for line in told)
    assert "[1/7]" not in said.err
    assert set(last_document(said.out)) == {"tables", "leads"}
    (out / "cells" / "vlm" / "hybrid" / "1,0,0-s0.3-0.parquet").unlink()
    assert main([*compare, "--minutes", "0.0001"]) == 0
    stopped = capsys.readouterr().err
    assert "6 of 7 calibrations, searches and cells are finished already" in stopped
    assert "the time is over" in stopped

    assert "(recovery.steps 2 → 3)" in refused([*compare[:-2], "--steps", "3"])
    rmtree(model)
    rmtree(results)
    assert main(["compare", "--out", str(out), "--tables", "--results", str(results)]) == 0
    assert (results / "compare.md").is_file()
    with (results / "compare.csv").open() as file:
        again = list(csv.DictReader(file))
    assert again == [row for row in rows if row["preference"] != "1,0,0"]


def test_tables_of_nothing_are_refused(tmp_path: Path, refused: Refused) -> None:
    assert "compare.json does not exist" in refused(["compare", "--out", tmp_path / "none", "--tables"])


def test_a_checkpoint_that_was_judged_before_is_not_judged_again(
    tmp_path: Path, model: Path, benchmarks: Benchmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(Worker, "ask", _counting(Worker.ask, asked))

    def judge(variant: str, seed: int = 0, *, keep: bool = False) -> CellResult:
        contender = Contender(method="uniform", variant=variant)
        cell = Cell(model=str(model), contender=contender, budget=0.3, preference=None, seed=seed)
        worker = Worker(tmp_path, settings, keep=keep)
        worker(cell.calibration)
        worker(cell)
        return CellResult.load(cell.path(tmp_path))

    settings = CompareSettings(
        questions=tuple(benchmarks.specs),
        limit=30,
        calibration=12,
        recovery=replace(RECOVERY, steps=2, lora_blocks=1),
    )
    first, again = judge(""), judge("again")
    assert len(asked) == 2
    assert again.cell.contender.variant == "again"
    assert (again.before.margin == first.before.margin).all()
    assert (again.after.margin == first.after.margin).all()
    assert again.seconds["recover"] == first.seconds["recover"]
    judge("", seed=1)
    assert len(asked) == 4, "another seed recovers otherwise"
    judge("kept", keep=True)
    assert len(asked) == 6, "whoever wants the checkpoints gets them"


def test_every_method_is_compensated_with_the_matrices_of_the_same_questions(
    tmp_path: Path, model: Path, benchmarks: Benchmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = CompareSettings(
        questions=tuple(benchmarks.specs), limit=30, calibration=24, evaluations=8, reconstruct=0.01
    )
    worker = Worker(tmp_path, settings)
    plans, reconstructed = {}, []

    def fit(*given: object, minutes: float, **named: object) -> list[PrunedMlp]:
        reconstructed.append(minutes)
        return fit_sequentially(*given, minutes=minutes, **named)

    monkeypatch.setattr(planning, "fit_sequentially", fit)
    for method in ("uniform", "flap", "hybrid"):
        preference = Preference.parse("1,1,1") if method == "hybrid" else None
        for contender in settings.in_modes(Contender(method=method), ("none", "auto", "ridge", "sequential")):
            cell = Cell(model=str(model), contender=contender, budget=0.3, preference=preference, seed=0)
            for job in all_jobs([cell])[:-1]:
                worker(job)
            checkpoint, plan = worker.make_checkpoint(cell, tmp_path / "made" / contender.label)
            assert plan is not None
            assert checkpoint_compensation(checkpoint) == plan.compensation == contender.mode
            assert plan.notes.get("reconstruct_minutes") == (0.01 if contender.mode == "sequential" else None)
            plans[method, contender.mode] = load_model(checkpoint).blocks[0].down.weight
    assert sorted(plans) == [
        ("flap", "bias"), ("flap", "none"), ("flap", "ridge"), ("flap", "sequential"),
        ("hybrid", "none"), ("hybrid", "ridge"), ("hybrid", "sequential"),
        ("uniform", "none"), ("uniform", "ridge"), ("uniform", "sequential"),
    ]  # fmt: skip
    assert torch.equal(plans["flap", "bias"], plans["flap", "none"]), "only biases are added"
    for method in ("uniform", "flap"):
        assert plans[method, "ridge"].shape == plans[method, "none"].shape
        assert not torch.equal(plans[method, "ridge"], plans[method, "none"])
    assert reconstructed == [0.01] * 3


def _counting(
    ask: Callable[[Worker, Path], AnswerColumns], asked: list[Path]
) -> Callable[[Worker, Path], AnswerColumns]:
    def counted(worker: Worker, checkpoint: Path) -> AnswerColumns:
        asked.append(checkpoint)
        return ask(worker, checkpoint)

    return counted


def test_a_role_that_no_question_serves_is_not_asked_for(
    tmp_path: Path, llava: Path, benchmarks: Benchmarks, refused: Refused
) -> None:
    out = tmp_path / "compared"
    said = refused(
        [
            "compare",
            "--questions",
            f"pope:{benchmarks.pope}",
            "--models",
            llava,
            "--methods",
            "hybrid",
            "--out",
            out,
        ]
    )
    assert "weighs utility, which this run did not measure" in said
    assert not (out / "cells").exists(), "nothing has been calibrated, searched or asked"
