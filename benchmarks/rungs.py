"""What each rung of compensation gains a processor minute: KL to dense, and accuracy, on validation questions.

The embedded models and SmolLM2-135M, pruned uniformly by our criterion. A rung's minutes are processor time of
everything that it needs and an uncompensated plan does not: Gram matrices, their ridge and factors, a fit. Its gain is
that over the rung it goes on from: reconstruction from ``sequential``, every other one from none. KL is between the
distributions over the allowed answers and everything else of a question (embedded models), or over the next token
(SmolLM2, READMEs of installed packages; calibrated on docstrings). Nothing was chosen by either.

Run: OMP_NUM_THREADS=1 python benchmarks/rungs.py --cache FOLDER   (twenty minutes on one core)
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from compensation import SEARCHED, Exam, sort, uniform_masks
from text_compensation import Judge, TextAdapter, draw, fit_windows, observe
from text_compensation import Settings as TextSettings

from hipp_prune.calibration.grams import GramLayout, Grams
from hipp_prune.calibration.measurement import Calibration, calibrate
from hipp_prune.evaluation.evaluator import Evaluator, plan_scores
from hipp_prune.evaluation.scorecard import limit_questions
from hipp_prune.experiments.damage.compensating import pruned
from hipp_prune.experiments.smollm2 import load_smollm2
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.objectives.returns import AnswerScores
from hipp_prune.plans.arrays import Bools, Floats
from hipp_prune.pruning import reconstruction
from hipp_prune.pruning.compensated import choose_ridge
from hipp_prune.pruning.reconstruction import PrunedMlp
from hipp_prune.pruning.sequential import fit_sequentially
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.sources import load_questions

SMOLLM2 = "smollm2"
_NO_TIME = 0.1 / 60
"""Minutes below which a gain is not divided by them."""
ModelName = Literal["toy-llava", "toy-qwen2.5-vl", "smollm2"]


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    cache: Path
    """Where questions and SmolLM2's checkpoint lie."""
    models: tuple[ModelName, ...] = ("toy-llava", "toy-qwen2.5-vl", "smollm2")
    sparsities: tuple[float, ...] = (0.225, 0.5)
    """Of the embedded models."""
    text_sparsities: tuple[float, ...] = (0.225,)
    """Of SmolLM2."""
    reconstruct: float = 0.25
    """Processor minutes that the embedded models are reconstructed."""
    text_reconstruct: float = 2.0
    """Minutes that SmolLM2 is."""
    seeds: int = 2
    """Calibration samples."""
    count: int = 128
    """Calibration questions."""
    limit: int = 300
    """Validation questions a benchmark."""
    windows: int = 64
    """Calibration windows of SmolLM2."""
    judges: int = 24
    """Windows that SmolLM2 is asked about."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a pruned model is worth."""

    kl: float
    """To the dense model, nats."""
    accuracy: float = float("nan")
    """Mean over the benchmarks; of texts there is none."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A way to compensate: what it takes, and what it leaves."""

    name: str
    minutes: float
    """Of a processor, beyond what an uncompensated plan takes."""
    kl: float
    accuracy: float
    below: str = "none"
    """The rung that it goes on from."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A dense model at a seed: what has been measured of it, and how it is fitted and asked."""

    adapter: Adapter
    calibration: Calibration
    grams: Grams
    gathering: float
    """Processor minutes that Gram matrices and the choice of the ridge took."""
    fit: Callable[[Sequence[Bools], float], list[PrunedMlp]]
    """Block after block, and then so many minutes by gradient."""
    ask: Callable[[], Answer]
    """The model as it is now."""


class Clock:
    """Processor minutes since it was made."""

    def __init__(self) -> None:
        self._start = time.process_time()

    def __call__(self) -> float:
        """Minutes so far."""
        return (time.process_time() - self._start) / 60


def climb(subject: Subject, sparsity: float, minutes: float) -> Iterator[Rung]:
    """Every rung at a sparsity, the cheapest first."""
    adapter, calibration = subject.adapter, subject.calibration
    kept = [round((1 - sparsity) * neurons) for neurons in adapter.shape.neurons]
    plain = 0.0
    for mode in SEARCHED:
        clock = Clock()
        model = sort(adapter, calibration, subject.grams, mode)
        with model.apply(kept):
            spent, answer = clock(), subject.ask()
        model.restore()
        plain = spent if mode == "none" else plain
        more = subject.gathering if mode == "ridge" else 0.0
        yield Rung(name=mode, minutes=max(0.0, spent - plain) + more, **asdict(answer))
    masks = uniform_masks(adapter, calibration, kept)
    for name, below, given in (("sequential", "none", 0.0), ("reconstructed", "sequential", minutes)):
        clock = Clock()
        mlps = subject.fit(masks, given)
        spent = clock()
        with pruned(adapter, masks, mlps):
            yield Rung(name=name, minutes=spent, below=below, **asdict(subject.ask()))


def embedded(name: str, settings: Settings, seed: int) -> Subject:
    """An embedded model, calibrated on a sample of the seed."""
    adapter = load_model(name)
    asked = limit_questions(load_questions(["toyworld"], "validation", cache=settings.cache), settings.limit)
    sample = calibration_sample(
        load_questions(["toyworld"], "calibration", cache=settings.cache), settings.count, seed=seed
    )
    grams = Grams.in_memory(GramLayout(widths=tuple(adapter.shape.neurons)))
    calibrate(adapter, sample[:16], taylor_questions=1)  # the first pass is a slow one
    clock = Clock()
    calibration = calibrate(adapter, sample, taylor_questions=1)
    without = clock()
    calibration = calibrate(adapter, sample, taylor_questions=1, grams=grams)
    grams.factor = choose_ridge(adapter, calibration, grams)
    gathering = clock() - 2 * without
    evaluator = Evaluator(adapter, asked)
    exam = Exam(evaluator, evaluator.prepare(), asked)
    dense = evaluator.scores(exam.prepared)

    def ask() -> Answer:
        scores = evaluator.scores(exam.prepared)
        found = plan_scores(scores, asked).accuracies
        return Answer(kl=divergence(dense, scores), accuracy=float(np.mean(list(found.values()))))

    return Subject(
        adapter=adapter, calibration=calibration, grams=grams, gathering=max(0.0, gathering),
        fit=lambda masks, minutes: fit_sequentially(adapter, sample, masks, minutes=minutes), ask=ask,
    )  # fmt: skip


def divergence(dense: AnswerScores, now: AnswerScores) -> float:
    """Mean KL, in nats, between the distributions over the allowed answers and everything else."""

    def log_probabilities(scores: AnswerScores) -> Floats:
        logits = np.column_stack([scores.answers, scores.rest])
        return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)

    before, after = log_probabilities(dense), log_probabilities(now)
    possible = np.isfinite(before)
    difference = np.subtract(before, after, where=possible, out=np.zeros_like(before))
    return float((np.exp(before) * difference).sum(axis=1).mean())


def smollm2(settings: Settings, seed: int) -> Subject:
    """SmolLM2, calibrated on docstrings that the seed draws, asked about READMEs."""
    model, tokenizer = load_smollm2(settings.cache)
    told = TextSettings(
        cache=settings.cache, calibration=settings.windows, held_out=settings.judges, asked=0, seed=seed
    )
    model.to(getattr(torch, told.dtype)).requires_grad_(False)
    adapter = TextAdapter(model)
    judges, windows = draw(told, tokenizer)
    grams = Grams.in_memory(GramLayout(widths=tuple(adapter.shape.neurons), weights=(1.0, 1.0)))
    observe(adapter, windows[: told.batch_size], told.batch_size)  # the first pass is a slow one
    clock = Clock()
    calibration = observe(adapter, windows, told.batch_size)
    without = clock()
    calibration = observe(adapter, windows, told.batch_size, grams)
    grams.factor = choose_ridge(adapter, calibration, grams)
    gathering = clock() - 2 * without
    judge = Judge(model, judges, told.batch_size)
    return Subject(
        adapter=adapter, calibration=calibration, grams=grams, gathering=max(0.0, gathering),
        fit=lambda masks, minutes: fit_windows(adapter, windows, told.batch_size, masks, minutes),
        ask=lambda: Answer(kl=judge()),
    )  # fmt: skip


def rows(name: ModelName, settings: Settings) -> Iterator[str]:
    """A model's lines: means over the seeds."""
    text = name == SMOLLM2
    found: dict[tuple[float, str], list[Rung]] = {}
    for seed in range(settings.seeds):
        subject = smollm2(settings, seed) if text else embedded(name, settings, seed)
        minutes = settings.text_reconstruct if text else settings.reconstruct
        for sparsity in settings.text_sparsities if text else settings.sparsities:
            for rung in climb(subject, sparsity, minutes):
                sys.stderr.write(f"{name}, seed {seed}, {sparsity:.1%}: {rung}\n")
                found.setdefault((sparsity, rung.name), []).append(rung)
    for (sparsity, rung), climbed in found.items():
        gained = _gains(climbed, found[sparsity, climbed[0].below])
        cells = [f"{60 * _mean(climbed, 'minutes'):.1f}", f"{_mean(climbed, 'kl'):.3f}"]
        cells += ["–", gained[0], "–"] if text else [f"{_mean(climbed, 'accuracy'):.3f}", *gained]
        yield f"| {name} | {sparsity:.1%} | {rung} | {' | '.join(cells)} |\n"


def _gains(climbed: Sequence[Rung], below: Sequence[Rung]) -> list[str]:
    """KL saved and points of accuracy won a minute, over the rung below; of rungs that take no time there is none."""
    kl, accuracy, spent = (
        _mean(climbed, column) - _mean(below, column) for column in ("kl", "accuracy", "minutes")
    )
    if spent < _NO_TIME:
        return ["–", "–"]
    return [f"{-kl / spent:+.3f}", f"{100 * accuracy / spent:+.1f}"]


def _mean(climbed: Sequence[Rung], column: Literal["kl", "accuracy", "minutes"]) -> float:
    return float(np.mean([getattr(each, column) for each in climbed]))


def main(settings: Settings) -> None:
    """Prints a row a model, sparsity and rung, a model at a time."""
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    reconstruction.perf_counter = (
        time.process_time
    )  # minutes are a processor's, whatever else the machine does
    sys.stdout.write(
        "| model | sparsity | rung | processor seconds | KL | accuracy | KL saved a minute | points a minute |\n"
        + "|---" * 8 + "|\n"
    )  # fmt: skip
    for name in settings.models:
        for line in rows(name, settings):
            sys.stdout.write(line)
            sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(Settings))
