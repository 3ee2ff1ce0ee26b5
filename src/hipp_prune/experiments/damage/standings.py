"""Means over seeds, and differences of two methods on the same items with paired bootstrap intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hipp_prune.experiments.compare.cells import DENSE
from hipp_prune.experiments.damage.cells import Result
from hipp_prune.experiments.damage.settings import DamageCompensation
from hipp_prune.plans.arrays import Floats, Ints

_BOOTSTRAPS = 2000

Items = Mapping[str, Sequence[int]]
"""See ``Yardstick.items``."""


@dataclass(frozen=True, kw_only=True)
class MethodResults:
    """A method, compensated in a way, at a budget: all of its seeds."""

    method: str
    compensation: DamageCompensation
    budget: float
    results: tuple[Result, ...]

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.method

    def values(self, measure: str) -> Floats:
        """Of every seed and item, [S, N]: 1 where an answer is right, or KL in nats."""
        return np.array([_values(result, measure) for result in self.results], dtype=np.float64)

    def mean(self, measure: str) -> float:
        """Over seeds and items."""
        return float(self.values(measure).mean())

    def spread(self, measure: str) -> float:
        """Standard deviation over seeds; 0 of one."""
        means = self.values(measure).mean(axis=1)
        return float(means.std(ddof=1)) if len(means) > 1 else 0.0


def _values(result: Result, measure: str) -> Sequence[float]:
    return result.kl[measure] if measure in result.kl else result.right[measure]


def measures(results: Sequence[Result]) -> tuple[list[str], list[str]]:
    """Names of what is answered right or wrong, and of what KL is taken of."""
    first = results[0]
    return sorted(first.right), sorted(first.kl)


def by_method(results: Sequence[Result]) -> list[MethodResults]:
    """A row a budget, compensation and method, in this order; the dense model first."""
    found: dict[tuple[float, str, str], list[Result]] = {}
    for result in results:
        cell = result.cell
        found.setdefault((cell.budget, cell.compensation, cell.method), []).append(result)
    order = ("none", "ridge", "sequential")
    keys = sorted(found, key=lambda key: (key[0], order.index(key[1]), key[2]))
    return [
        MethodResults(
            method=method,
            compensation=compensation,  # type: ignore[arg-type]
            budget=budget,
            results=tuple(sorted(found[budget, compensation, method], key=lambda each: each.cell.seed)),
        )
        for budget, compensation, method in keys
    ]


def dense_row(rows: Sequence[MethodResults]) -> MethodResults | None:
    """The dense model's."""
    return next((row for row in rows if row.method == DENSE), None)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One row minus another, with its 95% interval."""

    gain: float
    low: float
    high: float
    seeds: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def gap_between(ours: MethodResults, theirs: MethodResults, measure: str, groups: Sequence[int]) -> Gap:
    """One row minus another: pictures (or texts) are drawn with replacement, the same for both, and so are seeds.

    Seeds that only one has are left out, but for the dense model's single one, which all are compared with. Deviations
    of seeds from their mean are stretched by √(S/(S−1)), without which S draws of S seeds vary too little.

    Args:
        ours: a row.
        theirs: another.
        measure: of both.
        groups: number of the picture or text of each item.
    """
    left, right = _paired(ours, theirs, measure)
    gaps = left - right
    counts = _weights(np.asarray(groups, dtype=np.int64))
    by_seed = counts @ gaps.T / counts.sum(axis=1, keepdims=True)
    middle, number = by_seed.mean(axis=1, keepdims=True), by_seed.shape[1]
    spread = middle + (by_seed - middle) * np.sqrt(number / max(1, number - 1))
    chosen = np.random.default_rng(1).integers(number, size=(_BOOTSTRAPS, number))
    draws = np.take_along_axis(spread, chosen, axis=1).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Gap(gain=float(gaps.mean()), low=float(low), high=float(high), seeds=number)


def _paired(ours: MethodResults, theirs: MethodResults, measure: str) -> tuple[Floats, Floats]:
    left, right = ours.values(measure), theirs.values(measure)
    if DENSE in (ours.method, theirs.method):
        return left, right
    seeds = [[result.cell.seed for result in row.results] for row in (ours, theirs)]
    both = sorted(set(seeds[0]) & set(seeds[1]))
    return (
        left[[seeds[0].index(seed) for seed in both]],
        right[[seeds[1].index(seed) for seed in both]],
    )


def _weights(groups: Ints) -> Floats:
    """How often each item counts in every draw of pictures, [draws, N]."""
    names, members = np.unique(groups, return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(0).multinomial(len(names), share, size=_BOOTSTRAPS)
    result: Floats = drawn[:, members].astype(np.float64)
    return result
