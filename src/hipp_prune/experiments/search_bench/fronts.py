"""How good the answers to all preferences are: hypervolume and IGD+ of their front, and regret of each query."""

from collections.abc import Sequence

import moocore
import numpy as np

from hipp_prune.plans.arrays import Floats

_BOOTSTRAPS = 10_000


def lattice(steps: int = 10) -> Floats:
    """All preferences whose weights are multiples of 1/``steps``, [(steps + 1)(steps + 2)/2, 3]: 66 for ten."""
    points = [
        (robustness, utility, steps - robustness - utility)
        for robustness in range(steps, -1, -1)
        for utility in range(steps - robustness, -1, -1)
    ]
    return np.array(points, dtype=np.float64) / steps


def hypervolume(points: Floats, low: Floats, high: Floats) -> float:
    """Share of the box [low, high] that is dominated by points [N, K], all K to be maximised; in [0, 1].

    A point beyond ``high`` counts as on it; one that is not above ``low`` in every respect dominates nothing.
    """
    extent = high - low
    if (extent <= 0).any():
        return 0.0
    unit = np.clip((points - low) / extent, 0.0, 1.0)
    unit = unit[(unit > 0).all(axis=1)]
    if not len(unit):
        return 0.0
    return float(moocore.hypervolume(unit, ref=np.zeros(unit.shape[1]), maximise=True))


def union_front(points: Floats) -> Floats:
    """Those of the points [N, K], all K to be maximised, that no other dominates; one of equal ones."""
    front: Floats = moocore.filter_dominated(points, maximise=True)
    return front


def igd_plus(points: Floats, front: Floats, low: Floats, high: Floats) -> float:
    """IGD+ (Ishibuchi et al., 2015): mean over a front [M, K] of what the nearest of the points [N, K] lacks of it.

    Distances count only where a point is worse, in units of the box [low, high]; 0 is best. A box without extent in
    some objective measures the others alone.

    Args:
        points: what was found, [N, K]; larger is better.
        front: what could be found, [M, K].
        low: lower corner of the box, [K].
        high: upper corner, [K].
    """
    extent = np.where(high > low, high - low, np.inf)
    return float(moocore.igd_plus(points / extent, ref=front / extent, maximise=True))


def best_values(objectives: Floats, preferences: Floats) -> Floats:
    """The largest λ·R that any of the plans [N, 3] reaches, for each preference [P, 3]; [P]."""
    best: Floats = (objectives @ preferences.T).max(axis=0)
    return best


def query_regret(answers: Floats, preferences: Floats, best: Floats) -> float:
    """Mean over preferences of best − λ·R(answer); R in the same units as ``best``'s.

    Args:
        answers: objectives of the plan each preference was answered with, [P, 3].
        preferences: λ, [P, 3].
        best: the best value known for each preference, [P].
    """
    return float((best - (answers * preferences).sum(axis=1)).mean())


def paired_interval(
    differences: Sequence[float], *, level: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Bootstrap percentile interval of the mean of paired differences; None for fewer than two pairs."""
    if len(differences) < 2:
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.choice(np.asarray(differences, dtype=np.float64), size=(_BOOTSTRAPS, len(differences)))
    low, high = np.quantile(drawn.mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
