"""The shipped models: as good as promised, hurt by pruning, and pruned by every stage of the quick start."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hipp_prune.calibration.measurement import Calibration, calibrate
from hipp_prune.cli import main
from hipp_prune.evaluation.evaluator import Evaluator, PreparedBatch
from hipp_prune.evaluation.scorecard import Scorecard, limit_questions
from hipp_prune.models import TOYS, load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.pruning.prefix_views import sort_neurons
from hipp_prune.questions import toyworld
from hipp_prune.questions.multiple_choice import chance_level

QUESTIONS = 300
"""Test questions a benchmark; the whole test split is scored by ``benchmarks/toys.py``."""


@dataclass(frozen=True)
class Examined:
    """A toy with questions prepared."""

    adapter: Adapter
    calibration: Calibration
    evaluator: Evaluator
    prepared: list[PreparedBatch]

    def accuracy(self, **wanted: str) -> float:
        """Share of right answers among the questions with these fields."""
        right = self.evaluator.scores(self.prepared).predictions() == self.evaluator.gold
        asked = self.evaluator.questions
        chosen = [all(getattr(question, key) == value for key, value in wanted.items()) for question in asked]
        return float(right[np.array(chosen)].mean())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toyworld.write(tmp_path_factory.mktemp("world") / "toyworld")


@pytest.fixture(scope="module", params=TOYS)
def examined(request: pytest.FixtureRequest, world: Path) -> Examined:
    adapter = load_model(request.param)
    questions = limit_questions(toyworld.load(world, "test"), QUESTIONS)
    calibration = calibrate(adapter, limit_questions(toyworld.load(world, "calibration"), 24))
    evaluator = Evaluator(adapter, questions)
    return Examined(adapter, calibration, evaluator, evaluator.prepare())


class TestShippedModels:
    def test_dense_is_as_good_as_promised(self, examined: Examined) -> None:
        assert examined.accuracy(benchmark="pope") >= 0.90
        assert examined.accuracy(benchmark="pope", subset="adversarial") >= 0.85
        assert examined.accuracy(benchmark="scienceqa") >= 0.80

    def test_chance_is_far_below(self, examined: Examined) -> None:
        choices = [question for question in examined.evaluator.questions if question.benchmark == "scienceqa"]
        assert chance_level(choices) < 0.45

    def test_pruning_half_the_neurons_by_magnitude_hurts(self, examined: Examined) -> None:
        before = [examined.accuracy(benchmark=name) for name in ("pope", "scienceqa")]
        model = sort_neurons(
            examined.adapter, score_neurons(examined.adapter, examined.calibration, "magnitude")
        )
        with model.apply([width // 2 for width in examined.adapter.shape.neurons]):
            after = [examined.accuracy(benchmark=name) for name in ("pope", "scienceqa")]
        model.restore()
        assert max(b - a for b, a in zip(before, after, strict=True)) >= 0.10

    def test_applying_a_plan_takes_under_a_hundredth_of_an_evaluation(self, examined: Examined) -> None:
        model = sort_neurons(examined.adapter, score_neurons(examined.adapter, examined.calibration))
        kept = [width // 2 for width in examined.adapter.shape.neurons]
        applying, evaluating = [], []
        for _ in range(5):
            start = time.perf_counter()
            with model.apply(kept):
                applied = time.perf_counter()
                examined.evaluator.scores(examined.prepared)
                done = time.perf_counter()
            applying.append(applied - start + time.perf_counter() - done)
            evaluating.append(done - applied)
        model.restore()
        assert statistics.median(applying) < 0.01 * statistics.median(evaluating)


def test_quickstart_leaves_a_whole_run(
    tmp_path: Path, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "demo"
    questions = ["--questions", f"toyworld:{world}"]
    assert main(["quickstart", "--out", str(run), "--evaluations", "48", "--limit", "40", *questions]) == 0
    printed = capsys.readouterr()
    assert "speed" in printed.out
    assert "report:" in printed.out
    assert "hipp-prune auto llava-hf/llava-1.5-7b-hf --questions photos.csv" in printed.err
    labels = {path.stem for path in (run / "results").glob("*.json")}
    assert len(labels) == 4
    dense = Scorecard.load(run / "results" / "dense.json")
    for path in (run / "plans").glob("*.json"):
        plan, pruned = Plan.load(path), Scorecard.load(run / "results" / path.name)
        assert pruned.ledger == plan.ledger
        assert pruned.speedup is not None
        assert [answer.id for answer in pruned.answers] == [answer.id for answer in dense.answers]
    assert 100_000 < (run / "report.html").stat().st_size < 1_500_000


def test_toy_make_writes_official_files_that_evaluate_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["toy", "make", "--out", str(tmp_path / "world")]) == 0
    files = {path.name for path in (tmp_path / "world" / "test").rglob("*.json")}
    assert {"coco_pope_adversarial.json", "problems.json", "pid_splits.json"} <= files
    spec = f"toyworld:{tmp_path / 'world'}"
    assert main(["evaluate", "--model", "toy-llava", "--questions", spec, "--limit", "20"]) == 0
    assert "weights on disk" in capsys.readouterr().out


def test_toy_train_takes_the_documented_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(
        "hipp_prune.experiments.toy.train.train", lambda *given, **named: asked.update(named, given=given)
    )
    out = tmp_path / "model"
    assert main(["toy", "train", "--model", "toy-qwen2.5-vl", "--out", str(out), "--seed", "4"]) == 0
    assert asked["given"] == ("toy-qwen2.5-vl", out)
    assert asked["seed"] == 4
