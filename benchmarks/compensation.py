"""What compensation saves on the embedded models: uniform pruning, before recovery, in every mode.

Every seed draws its own calibration questions; all are asked the same test questions. Beside the accuracies stand the
costs: seconds to prepare all blocks for a search, a compensated evaluation against a plain one, and the seconds that
``sequential`` takes for one plan.

Run: python benchmarks/compensation.py   (minutes)
"""

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import tyro

from hipp_prune.calibration.grams import GramLayout, Grams
from hipp_prune.calibration.measurement import Calibration, calibrate
from hipp_prune.evaluation.evaluator import Evaluator, PreparedBatch, plan_scores
from hipp_prune.evaluation.scorecard import limit_questions
from hipp_prune.experiments.damage.compensating import pruned
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.arrays import Bools
from hipp_prune.plans.modes import Compensation
from hipp_prune.pruning.compensated import choose_ridge, compensate
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.pruning.prefix_views import SortedNeurons, sort_neurons
from hipp_prune.pruning.sequential import fit_sequentially
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions

SEARCHED: tuple[Compensation, ...] = ("none", "bias", "ridge")
"""What a search can evaluate plans with."""

RECONSTRUCTED = "reconstructed"
"""Sequential, and then by gradient: a rung of its own where ``--reconstruct`` gives it time."""


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    models: tuple[str, ...] = ("toy-llava", "toy-qwen2.5-vl")
    seeds: int = 5
    count: int = 128
    """Calibration questions."""
    limit: int = 600
    """Test questions a benchmark."""
    sparsities: tuple[float, ...] = (0.225, 0.35, 0.5, 0.7)
    reconstruct: float = 0.0
    """Minutes a plan that gate, up and down are fitted by gradient after ``sequential``; 0 leaves the column out."""

    @property
    def rungs(self) -> tuple[str, ...]:
        """The columns."""
        return (*SEARCHED, "sequential", *([RECONSTRUCTED] if self.reconstruct else []))


@dataclass(frozen=True)
class Exam:
    """The test questions, encoded once."""

    evaluator: Evaluator
    prepared: list[PreparedBatch]
    questions: list[Question]

    def accuracies(self) -> dict[str, float]:
        """Of the model as it is now, by benchmark."""
        return plan_scores(self.evaluator.scores(self.prepared), self.questions).accuracies


def measure(
    adapter: Adapter, settings: Settings, seed: int, folder: Path
) -> tuple[list[Question], Calibration, Grams]:
    """One calibration sample, its statistics and Gram matrices."""
    asked = load_questions(["toyworld"], "calibration", cache=folder)
    grams = Grams.in_memory(GramLayout(widths=tuple(adapter.shape.neurons)))
    sample = calibration_sample(asked, settings.count, seed=seed)
    calibration = calibrate(adapter, sample, taylor_questions=1, grams=grams)
    grams.factor = choose_ridge(adapter, calibration, grams)
    return sample, calibration, grams


def sort(adapter: Adapter, calibration: Calibration, grams: Grams, mode: Compensation) -> SortedNeurons:
    """The model made ready for plans."""
    make = partial(compensate, mode, adapter, calibration, grams=grams, image_weight=0.5)
    return sort_neurons(adapter, score_neurons(adapter, calibration), lambda orders: make(orders))


def uniform_masks(adapter: Adapter, calibration: Calibration, kept: Sequence[int]) -> list[Bools]:
    """Which neurons stay where each block keeps so many of its best by our criterion, in original order."""
    orders = [scores.argsort(descending=True, stable=True) for scores in score_neurons(adapter, calibration)]
    return [np.isin(np.arange(len(order)), order[:count]) for order, count in zip(orders, kept, strict=True)]


@torch.no_grad()
def in_sequence(
    adapter: Adapter,
    sample: list[Question],
    calibration: Calibration,
    kept: Sequence[int],
    exam: Exam,
    *,
    minutes: float = 0.0,
) -> dict[str, float]:
    """Accuracies of a plan that is carried out block after block; removed neurons are columns of zeros here.

    Args:
        adapter: the dense model.
        sample: the calibration questions.
        calibration: its statistics.
        kept: neurons that each block keeps.
        exam: the test questions.
        minutes: of reconstruction afterwards, ≥ 0.
    """
    masks = uniform_masks(adapter, calibration, kept)
    with pruned(adapter, masks, fit_sequentially(adapter, sample, masks, minutes=minutes)):
        return exam.accuracies()


def table(name: str, settings: Settings, folder: Path) -> list[str]:
    """Rows of one model."""
    adapter = load_model(name)
    questions = limit_questions(load_questions(["toyworld"], "test", cache=folder), settings.limit)
    evaluator = Evaluator(adapter, questions)
    exam = Exam(evaluator, evaluator.prepare(), questions)
    found: dict[tuple[float, str, str], list[float]] = defaultdict(list)
    seconds: dict[Compensation, list[float]] = defaultdict(list)
    factors, preparing = [], []
    for seed in range(settings.seeds):
        sample, calibration, grams = measure(adapter, settings, seed, folder)
        factors.append(grams.factor)
        for mode in SEARCHED:
            start = time.perf_counter()
            model = sort(adapter, calibration, grams, mode)
            if mode == "ridge":
                preparing.append(time.perf_counter() - start)
            for sparsity in settings.sparsities:
                kept = [round((1 - sparsity) * neurons) for neurons in adapter.shape.neurons]
                with model.apply(kept):
                    accuracies = exam.accuracies()
                start = time.perf_counter()
                with model.apply(kept):
                    exam.accuracies()
                seconds[mode].append(time.perf_counter() - start)
                for benchmark, accuracy in accuracies.items():
                    found[sparsity, benchmark, mode].append(accuracy)
            model.restore()
        for sparsity in settings.sparsities:
            kept = [round((1 - sparsity) * neurons) for neurons in adapter.shape.neurons]
            start = time.perf_counter()
            for benchmark, accuracy in in_sequence(adapter, sample, calibration, kept, exam).items():
                found[sparsity, benchmark, "sequential"].append(accuracy)
            seconds["sequential"].append(time.perf_counter() - start)
            if minutes := settings.reconstruct:
                fine = in_sequence(adapter, sample, calibration, kept, exam, minutes=minutes)
                for benchmark, accuracy in fine.items():
                    found[sparsity, benchmark, RECONSTRUCTED].append(accuracy)
    return [
        *_rows(name, exam.accuracies(), found, settings),
        f"\n{name}: ridge factors chosen {', '.join(f'{factor:g}' for factor in factors)}; all blocks prepared in "
        f"{np.median(preparing):.3f} s; an evaluation takes "
        f"{np.median(np.array(seconds['ridge']) / np.array(seconds['none'])):.2f} of the uncompensated time; fitted in "
        f"sequence and asked, a plan takes {np.median(seconds['sequential']):.1f} s\n\n",
    ]


def _rows(
    name: str,
    dense: dict[str, float],
    found: dict[tuple[float, str, str], list[float]],
    settings: Settings,
) -> list[str]:
    rows = []
    for sparsity in settings.sparsities:
        for benchmark, whole in dense.items():
            cells = []
            for mode in settings.rungs:
                values = np.array(found[sparsity, benchmark, mode])
                spread = values.std(ddof=1) if len(values) > 1 else 0.0
                cells.append(f"{values.mean():.3f} ± {spread:.3f}")
            rows.append(f"| {name} | {sparsity:.1%} | {benchmark} | {whole:.3f} | {' | '.join(cells)} |\n")
    return rows


def main(settings: Settings) -> None:
    """Prints a row a model, sparsity and benchmark."""
    torch.manual_seed(0)
    header = (
        f"| model | sparsity | benchmark | dense | {' | '.join(settings.rungs)} |\n"
        + "|---" * (4 + len(settings.rungs))
        + "|\n"
    )
    with TemporaryDirectory() as folder:
        for name in settings.models:
            sys.stdout.write(header + "".join(table(name, settings, Path(folder))))
            sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(Settings))
