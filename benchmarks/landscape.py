"""How close searches come to a known optimum: score 0 is uniform pruning, 1 the best allocation at that sparsity.

Run: python benchmarks/landscape.py --methods hybrid grpo grpo-paper --evaluations 400 --seeds 4
"""

import sys
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import tyro

from hipp_prune.allocation import Floats
from hipp_prune.choices import Method
from hipp_prune.preference import Preference
from hipp_prune.search.archive import Archive
from hipp_prune.search.config import SearchConfig
from hipp_prune.search.landscape import Landscape
from hipp_prune.search.loop import search
from hipp_prune.search.planner import Planner

PREFERENCES = ("1,0,0", "0,1,0", "1,1,0")
SPARSITY = 0.3


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    methods: tuple[Method, ...] = ("hybrid", "grpo", "grpo-paper")
    evaluations: tuple[int, ...] = (400,)
    seeds: int = 4
    search: SearchConfig = field(default_factory=SearchConfig)
    """Settings that the methods start from, e.g. --search.learning-rate 1e-3."""


def best_ratios(landscape: Landscape, weights: Floats) -> Floats:
    """The optimum by pairwise exchange: damage is convex, so no exchange that helps means none exists."""
    ratios = np.full(landscape.blocks, SPARSITY)
    step = 0.05
    while step > 1e-4:
        moved = False
        for source in range(landscape.blocks):
            for target in range(landscape.blocks):
                trial = ratios.copy()
                trial[source] += step
                trial[target] -= step
                inside = trial.min() >= 0 and trial.max() <= landscape.space.r_max
                if (
                    source != target
                    and inside
                    and _value(landscape, trial, weights) > _value(landscape, ratios, weights)
                ):
                    ratios, moved = trial, True
        step = step if moved else step / 2
    return ratios


def _value(landscape: Landscape, ratios: Floats, weights: Floats) -> float:
    return float(landscape.objectives((1 - ratios) * landscape.neurons) @ weights)


def scores(landscape: Landscape, planner: Planner) -> list[float]:
    """(value − uniform) / (optimum − uniform) of the planner's answer to each preference."""
    found = []
    for text in PREFERENCES:
        preference = Preference.parse(text)
        weights = preference.vector[:2]
        uniform = _value(landscape, np.full(landscape.blocks, SPARSITY), weights)
        optimum = _value(landscape, best_ratios(landscape, weights), weights)
        plan = planner.query(preference, sparsity=SPARSITY)
        found.append((_value(landscape, plan.ratios, weights) - uniform) / (optimum - uniform))
    return found


def run(base: SearchConfig, method: Method, evaluations: int, seed: int) -> list[float]:
    """Scores of one search."""
    landscape = Landscape(seed=seed)
    config = replace(base.for_method(method), evaluations=evaluations, seed=seed, unit="coupled")
    result = search(landscape, config, Archive())
    planner = Planner(
        answers=result.answers,
        space=landscape.space,
        config=config,
        state=landscape.state,
        features=("position", "hint_rob", "hint_util"),
        orders=tuple(np.arange(landscape.neurons) for _ in range(landscape.blocks)),
        scale=result.scale,
    )
    return scores(landscape, planner)


def main(settings: Settings) -> None:
    """Prints one line a method and number of evaluations."""
    torch.set_num_threads(1)
    for method in settings.methods:
        for evaluations in settings.evaluations:
            table = np.array(
                [run(settings.search, method, evaluations, seed) for seed in range(settings.seeds)]
            )
            per_seed = table.mean(axis=1)
            std = per_seed.std(ddof=1) if len(per_seed) > 1 else 0.0
            sys.stdout.write(
                f"{method:<12} {evaluations:>5} evaluations  score {per_seed.mean():.3f} ± {std:.3f}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(Settings))
