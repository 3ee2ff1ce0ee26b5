"""How close searches come to a known optimum: score 0 is uniform pruning, 1 the best allocation at that sparsity.

Run: python benchmarks/landscape.py --methods hybrid surrogate grpo-paper --evaluations 100 500 --seeds 8
"""

import sys
import time
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
import tyro

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.arrays import Floats
from hipp_prune.search.archive import Archive
from hipp_prune.search.loop import search
from hipp_prune.search.methods import Method
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import Solution

PREFERENCES = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
SPARSITIES = (0.2, 0.3, 0.4)


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    methods: tuple[Method, ...] = ("hybrid", "surrogate", "grpo", "grpo-paper")
    evaluations: tuple[int, ...] = (400,)
    seeds: int = 8
    first_seed: int = 100
    """Seeds count up from here; the tests of the package use smaller ones."""
    blocks: int = 12
    interaction: float = 0.1
    """Strength of the coupling of neighbouring blocks."""
    noise: float = 0.05
    """Noise of an evaluation of 64 questions."""
    search: SearchSettings = field(default_factory=SearchSettings)
    """Settings that the methods start from, e.g. --search.learning-rate 1e-3."""


def best_ratios(landscape: Landscape, weights: Floats, sparsity: float) -> Floats:
    """The optimum by pairwise exchange: where damage is convex, no exchange that helps means none exists."""
    ratios = np.full(landscape.blocks, sparsity)
    source, target = np.divmod(np.arange(landscape.blocks**2), landscape.blocks)
    step = 0.05
    while step > 1e-4:
        trials = np.tile(ratios, (len(source), 1))
        np.add.at(trials, (np.arange(len(source)), source), step)
        np.add.at(trials, (np.arange(len(source)), target), -step)
        inside = (trials.min(axis=1) >= 0) & (trials.max(axis=1) <= landscape.space.r_max)
        values = np.where(inside, _values(landscape, trials.clip(0.0)) @ weights, -np.inf)
        best = int(values.argmax())
        if values[best] > _values(landscape, ratios[None])[0] @ weights + 1e-12:
            ratios = trials[best]
        else:
            step /= 2
    return ratios


def _values(landscape: Landscape, ratios: Floats) -> Floats:
    return landscape.objectives((1 - ratios) * landscape.neurons)


def scores(landscape: Landscape, answers: Solution) -> list[float]:
    """(value − uniform) / (optimum − uniform) of the answers to every preference at every sparsity."""
    found = []
    for sparsity in SPARSITIES:
        kept = answers.kept(PREFERENCES, np.full((len(PREFERENCES), 2), sparsity))
        for preference, plan in zip(PREFERENCES, kept, strict=True):
            weights = preference[:2]
            uniform = _values(landscape, np.full((1, landscape.blocks), sparsity))[0] @ weights
            optimum = _values(landscape, best_ratios(landscape, weights, sparsity)[None])[0] @ weights
            found.append(float((landscape.objectives(plan) @ weights - uniform) / (optimum - uniform)))
    return found


def run(settings: Settings, method: Method, evaluations: int, seed: int) -> tuple[float, float]:
    """Mean score of one search, and its seconds."""
    landscape = Landscape(
        seed=seed, blocks=settings.blocks, interaction=settings.interaction, noise=settings.noise
    )
    config = replace(_changed(settings.search, method), evaluations=evaluations, seed=seed, unit="coupled")
    start = time.perf_counter()
    result = search(landscape, config, Archive())
    return float(np.mean(scores(landscape, result.answers))), time.perf_counter() - start


def _changed(asked: SearchSettings, method: Method) -> SearchSettings:
    """The method's settings, other where what was asked for is not our default."""
    usual = asdict(SearchSettings())
    changes = {name: value for name, value in asdict(asked).items() if value != usual[name]}
    return replace(SearchSettings().for_method(method), **changes)


def main(settings: Settings) -> None:
    """Prints one line a method and number of evaluations."""
    torch.set_num_threads(1)
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    for evaluations in settings.evaluations:
        for method in settings.methods:
            table = np.array([run(settings, method, evaluations, seed) for seed in seeds])
            found, seconds = table.T
            low, median, high = np.quantile(found, [0.25, 0.5, 0.75])
            sys.stdout.write(
                f"{method:<20} {evaluations:>5} evaluations  score: median {median:.3f}  "
                f"quartiles {low:.3f} to {high:.3f}  mean {found.mean():.3f}  {seconds.mean():.1f} s\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(Settings))
