"""Scores of the embedded models: dense, pruned uniformly, and by a trained policy's answers. Writes docs/results.md.

Run: python benchmarks/toys.py --seeds 3 --out docs/results.md   (about ten minutes on two cores)
"""

import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tyro

from hipp_prune import api
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.evaluation.results import Results, score
from hipp_prune.evaluation.scorecard import answer_questions, limit_questions
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.preference import Preference
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.pruning.masking import apply_masks
from hipp_prune.pruning.prefix_views import sort_neurons
from hipp_prune.questions.multiple_choice import chance_level
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.yes_no import YesNoScore, class_balanced_mean
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.settings import SearchSettings

MODELS = ("toy-llava", "toy-qwen2.5-vl")
VERTICES = {"robustness": "1,0,0", "utility": "0,1,0", "compression": "0,0,1", "centre": "1,1,1"}
SPARSITY = 0.5
"""Budget at which robustness and utility are compared: the preference alone moves the plan."""


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    out: Path = Path("docs/results.md")
    """Markdown file to write."""
    seeds: int = 3
    """Searches a model, seeds 0, 1, …"""
    evaluations: int = 400
    """Plans a search evaluates."""
    limit: int = 1500
    """Test questions a benchmark."""


@dataclass(frozen=True)
class Measured:
    """One model or plan on the test questions."""

    sparsity: float
    results: Results
    returns: tuple[float, float]
    """Held-out (R_rob, R_util): mean log-probability of the right answer among the allowed ones, in nats."""

    @property
    def pope(self) -> float:
        """Balanced accuracy over all subsets."""
        return self.results.scores["pope"].accuracy

    @property
    def multiple_choice(self) -> float:
        """ScienceQA-style accuracy."""
        return self.results.scores["scienceqa"].accuracy

    @property
    def yes_no(self) -> YesNoScore:
        """The whole official score."""
        score = self.results.scores["pope"]
        assert isinstance(score, YesNoScore)
        return score

    def row(self, name: str) -> str:
        """A line of the table."""
        subsets = " / ".join(f"{part.balanced_accuracy:.1%}" for part in self.yes_no.subsets.values())
        pooled = self.yes_no.pooled
        return (
            f"| {name} | {self.sparsity:.3f} | {self.pope:.1%} | {subsets} | {pooled.yes_rate:.1%} | "
            f"{self.multiple_choice:.1%} | {self.returns[0]:.3f} | {self.returns[1]:.3f} |"
        )


HEADER = (
    "| plan | MLP sparsity | POPE bal. acc. | subsets | Yes-rate | multiple choice | R_rob | R_util |",
    "|---|---|---|---|---|---|---|---|",
)


def measure(adapter: Adapter, questions: Sequence[Question], sparsity: float) -> Measured:
    """Official scores of the model as it is now."""
    answers, _ = answer_questions(adapter, questions)
    log_probabilities = -np.logaddexp(0.0, [-answer.margin for answer in answers])
    is_pope = np.array([question.benchmark == "pope" for question in questions])
    gold = np.array([question.gold for question in questions])
    returns = (
        class_balanced_mean(log_probabilities[is_pope], gold[is_pope]),
        float(log_probabilities[~is_pope].mean()),
    )
    return Measured(sparsity, score(questions, {answer.id: answer.given for answer in answers}), returns)


def fixed_plans(adapter: Adapter, calibration: Calibration, questions: Sequence[Question]) -> Iterator[str]:
    """Dense, and uniform plans by two criteria at 22.5% and 50%."""
    dense = measure(adapter, questions, 0.0)
    yield dense.row("dense")
    for criterion in ("magnitude", "coupled"):
        for sparsity in (0.225, 0.5):
            model = sort_neurons(adapter, score_neurons(adapter, calibration, criterion))
            kept = [round(width * (1 - sparsity)) for width in adapter.shape.neurons]
            with model.apply(kept):
                pruned = measure(adapter, questions, sparsity)
            model.restore()
            yield pruned.row(f"uniform, {criterion}")


def queried(adapter: Adapter, planner: Planner, questions: Sequence[Question]) -> dict[str, Measured]:
    """The policy's answers: vertices and centre with a free budget, robustness and utility at one budget."""
    asked: dict[str, tuple[str, float | None]] = {name: (text, None) for name, text in VERTICES.items()}
    for name in ("robustness", "utility"):
        asked[f"{name} at {SPARSITY:g}"] = (VERTICES[name], SPARSITY)
    measured = {}
    for name, (text, sparsity) in asked.items():
        plan = planner.query(Preference.parse(text), sparsity=sparsity)
        with apply_masks(adapter, plan.keep_masks()):
            measured[name] = measure(adapter, questions, plan.ledger.mlp)
    return measured


def spread(values: Sequence[float], *, percent: bool) -> str:
    """Mean ± sample standard deviation."""
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return f"{mean:.1%} ± {std:.1%}" if percent else f"{mean:.3f} ± {std:.3f}"


def describe(name: str, settings: Settings, folder: Path) -> Iterator[str]:
    """The section of one model."""
    adapter = load_model(name)
    cache = folder / "toyworld-cache"
    test = limit_questions(load_questions(["toyworld"], "test", cache=cache), settings.limit)
    yield f"\n## {name}\n"
    per = {
        kind: [question for question in test if question.benchmark == kind] for kind in ("pope", "scienceqa")
    }
    counts = ", ".join(
        f"{len(asked)} {kind} (chance {chance_level(asked):.1%})" for kind, asked in per.items()
    )
    yield f"Test questions: {counts}. Search, calibration and test share no picture and no text.\n"
    runs = []
    seconds = []
    for seed in range(settings.seeds):
        start = time.perf_counter()
        run = api.calibrate(name, ["toyworld"], folder / f"{name}-{seed}", api.CalibrateSettings(seed=seed))
        calibrated = time.perf_counter() - start
        planner = api.search(run.root, SearchSettings(evaluations=settings.evaluations, seed=seed))
        seconds.append((calibrated, time.perf_counter() - start - calibrated))
        runs.append((run, planner))
    yield from HEADER
    yield from fixed_plans(adapter, Calibration.load(runs[0][0].calibration), test)
    found = [queried(adapter, planner, test) for _, planner in runs]
    yield f"\nThe policy's answers, mean ± sample std over {settings.seeds} searches (seeds 0–{settings.seeds - 1}):\n"
    yield "| preference | MLP sparsity | POPE bal. acc. | Yes-rate | multiple choice | R_rob | R_util |"
    yield "|---|---|---|---|---|---|---|"
    for preference in found[0]:
        cells = [one[preference] for one in found]
        yield (
            f"| {preference} | {spread([c.sparsity for c in cells], percent=False)} "
            f"| {spread([c.pope for c in cells], percent=True)} "
            f"| {spread([c.yes_no.pooled.yes_rate for c in cells], percent=True)} "
            f"| {spread([c.multiple_choice for c in cells], percent=True)} "
            f"| {spread([c.returns[0] for c in cells], percent=False)} "
            f"| {spread([c.returns[1] for c in cells], percent=False)} |"
        )
    calibrating, searching = np.mean(seconds, axis=0)
    yield (
        f"\nCalibration took {calibrating:.0f} s, a search of {settings.evaluations} evaluations {searching:.0f} s "
        "(means, including drawing the world and encoding pictures)."
    )


def main(settings: Settings) -> None:
    """Measures both models and writes the page."""
    command = "python benchmarks/toys.py " + " ".join(sys.argv[1:])
    machine = f"{platform.machine()}, python {platform.python_version()}, torch {version('torch')}, "
    lines = [
        "# What the embedded models score",
        f"\nWritten by `{command.strip()}` ({machine}transformers {version('transformers')}; two CPU cores).",
        "POPE is balanced accuracy over random / popular / adversarial, pooled and apart; multiple choice is",
        "ScienceQA's accuracy on the embedded world's questions in its format.",
    ]
    with TemporaryDirectory() as folder:
        for name in MODELS:
            for line in describe(name, settings, Path(folder)):
                lines.append(line)
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    settings.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Settings))
