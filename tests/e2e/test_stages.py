"""Every stage through the command line, on both families' architectures."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hipp_prune.cli import main
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.models import load_model
from hipp_prune.plans.plan import Plan
from tests.e2e.conftest import Benchmarks, Finished, run_stages


class TestStages:
    def test_plan_is_on_budget_and_self_contained(self, finished: Finished) -> None:
        plan = Plan.load(finished.plan)
        neurons = sum(plan.shape.neurons)
        assert abs(plan.ledger.mlp - 0.3) * neurons <= 0.5 + 1e-9
        assert plan.preference is not None
        assert [int(mask.sum()) for mask in plan.keep_masks()] == list(plan.kept)

    def test_checkpoint_is_smaller_by_what_the_plan_said(self, finished: Finished) -> None:
        plan = Plan.load(finished.plan)
        before = _tensor_bytes(finished.model)
        after = _tensor_bytes(finished.checkpoint)
        removed = sum(n - k for n, k in zip(plan.shape.neurons, plan.kept, strict=True))
        assert before - after == removed * plan.shape.neuron_parameters * 4

    def test_evaluation_names_plan_and_counts_bytes(self, finished: Finished) -> None:
        evaluation = Scorecard.load(finished.results)
        plan = Plan.load(finished.plan)
        assert evaluation.ledger == plan.ledger
        assert evaluation.bytes == sum(p.stat().st_size for p in finished.checkpoint.glob("*.safetensors"))
        assert set(evaluation.results.scores) == {"pope", "scienceqa"}
        assert len({answer.id for answer in evaluation.answers}) == len(evaluation.answers)

    def test_report_is_one_page_without_network(self, finished: Finished) -> None:
        page = (finished.run / "report.html").read_text(encoding="utf-8")
        assert "<script src=" not in page
        assert '<link rel="stylesheet" href' not in page
        assert page.count("data:image/png;base64") >= 1

    def test_searching_again_evaluates_nothing_twice(self, finished: Finished) -> None:
        archive = finished.run / "search" / "archive.jsonl"
        before = archive.read_bytes()
        planner = (finished.run / "search" / "planner.safetensors").read_bytes()
        from tests.e2e.conftest import SEARCH

        assert main(["search", str(finished.run), *SEARCH]) == 0
        assert archive.read_bytes() == before
        assert (finished.run / "search" / "planner.safetensors").read_bytes() == planner

    def test_every_archived_plan_is_unique(self, finished: Finished) -> None:
        lines = (finished.run / "search" / "archive.jsonl").read_text().splitlines()
        keys = [(tuple(entry["kept"]), entry["minibatch"]) for entry in map(json.loads, lines)]
        assert len(keys) == len(set(keys))
        assert len(keys) <= 40

    def test_qwen_runs_through_all_stages(self, tmp_path: Path, qwen: Path, benchmarks: Benchmarks) -> None:
        done = run_stages(tmp_path, qwen, benchmarks)
        plan = Plan.load(done.plan)
        widths = [block.gate.out_features for block in load_model(done.checkpoint).blocks]
        assert widths == list(plan.kept)


class TestRowsUnit:
    def test_paper_method_runs_and_exports_zeros(
        self, tmp_path: Path, llava: Path, benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run, plan, out = tmp_path / "run", tmp_path / "plan.json", tmp_path / "masked"
        arguments = ["--model", str(llava), "--questions", *benchmarks.specs]
        assert main(["calibrate", *arguments, "--out", str(run), "--count", "8"]) == 0
        search = ["search", str(run), "--method", "grpo-paper", "--evaluations", "32", "--minibatch", "8"]
        assert main(search) == 0
        assert main(["query", str(run), "--preference", "1,0,0", "--out", str(plan)]) == 0
        assert main(["prune", "--model", str(llava), "--plan", str(plan), "--out", str(out)]) == 0
        assert "nothing is saved" in capsys.readouterr().out.replace("\n", " ")
        assert Plan.load(plan).unit == "rows"
        gate = load_model(out).blocks[0].gate.weight
        zeros = int((gate.abs().sum(dim=1) == 0).sum())
        assert zeros == Plan.load(plan).shape.neurons[0] - Plan.load(plan).kept[0]
        assert _tensor_bytes(out) == _tensor_bytes(llava)


class TestAnswers:
    def test_answers_of_anyone_are_scored_by_id(
        self, tmp_path: Path, benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
    ) -> None:
        entries = [
            {"question_id": json.loads(line)["question_id"], "text": json.loads(line)["label"].capitalize()}
            for line in (benchmarks.pope / "coco_pope_random.json").read_text().splitlines()
        ]
        answers = tmp_path / "answers.jsonl"
        order = np.random.default_rng(0).permutation(len(entries))
        answers.write_text("".join(json.dumps(entries[index]) + "\n" for index in order))
        spec = f"pope:{benchmarks.pope / 'coco_pope_random.json'}"
        assert main(["evaluate", "--answers", str(answers), "--questions", spec]) == 0
        assert "1.0000" in capsys.readouterr().out


def test_models_lists_what_is_embedded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "toy-llava" in printed
    assert "qwen2_5_vl" in printed


def _tensor_bytes(folder: Path) -> int:
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
        total += sum(tensor.numel() * torch.finfo(tensor.dtype).bits // 8 for tensor in tensors)
    return total


def test_a_search_that_cannot_spend_everything_says_why(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished.run, tmp_path / "run"))
    few = ("--force", "--method", "grpo-paper", "--evaluations", "2", "--minibatch", "12")
    assert main(["search", str(run), *few]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the search spent 0 of 2 evaluations: a step compares at least 4 plans of 12 questions" in said
