"""The cloud of plans a search has seen: comparable points, and which of them no other beats (Fig. 2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Evaluation, kept_matrix, objective_matrix
from hipp_prune.search.surrogate import fit_surrogate

_FEWEST = 20
"""Evaluations below which levels of minibatches cannot be told from the plans asked on them."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """N different plans as points in (robustness, utility, sparsity)."""

    points: Floats
    """(R_rob, R_util, s), [N, 3]; means over a plan's evaluations."""
    plans: tuple[tuple[int, ...], ...]
    """Kept counts of each, N × [U]."""
    sources: tuple[str, ...]
    """What proposed each plan, length N."""
    levelled: bool
    """Whether the difficulty of the minibatches has been taken out."""
    minibatches: int
    """How many minibatches the plans were asked."""


def build_cloud(evaluations: Sequence[Evaluation], space: PlanSpace | None) -> Cloud:
    """Plans with their objectives, on one scale where the space is known and there are evaluations enough.

    Evaluations that failed, whose objectives are no finite numbers, are left out.
    """
    rows = [row for row in evaluations if np.isfinite([row.robustness, row.utility]).all()]
    minibatches = len({row.minibatch for row in rows})
    fits = space is not None and all(len(row.kept) == space.num_units for row in rows)
    levelled = minibatches > 1 and fits and len(rows) >= _FEWEST
    values = objective_matrix(rows)
    if levelled:
        assert space is not None, "levelling fits a surrogate of the space"
        values = level_minibatches(rows, space)
    firsts: dict[tuple[int, ...], int] = {}
    owner = np.array([firsts.setdefault(row.kept, len(firsts)) for row in rows], dtype=np.int64)
    points = np.zeros((len(firsts), 3))
    np.add.at(points, owner, values)
    return Cloud(
        points=points / np.bincount(owner, minlength=len(firsts))[:, None],
        plans=tuple(firsts),
        sources=tuple(rows[index].source for index in np.unique(owner, return_index=True)[1]),
        levelled=levelled,
        minibatches=minibatches,
    )


def level_minibatches(evaluations: Sequence[Evaluation], space: PlanSpace) -> Floats:
    """(R_rob, R_util, s) with the difficulty of each minibatch taken out, [N, 3].

    R − (c_m − c̄), where c_m is the level of minibatch m in the surrogate R = c_m − damage(plan) fitted to all
    evaluations, and c̄ its mean. Subtracting the mean return of a minibatch instead would also take out that
    later minibatches are asked of better plans.
    """
    rows = list(evaluations)
    ratios = 1.0 - kept_matrix(rows) / space.widths
    values = objective_matrix(rows)
    residuals = values[:, :2] + fit_surrogate(rows, space).damage(ratios)
    groups = np.unique([row.minibatch for row in rows], return_inverse=True)[1]
    levels = np.zeros((groups.max() + 1, 2))
    np.add.at(levels, groups, residuals)
    levels /= np.bincount(groups)[:, None]
    values[:, :2] -= levels[groups] - residuals.mean(axis=0)
    return values


def pareto_front(points: Floats) -> NDArray[np.bool_]:
    """Which of the points [N, K] are not dominated, [N]; every objective is maximised.

    A point is dominated by one that is nowhere worse and somewhere better, so equal points stand or fall
    together. A point with a NaN is not on the front and dominates nothing.
    """
    usable = ~np.isnan(points).any(axis=1)
    candidates = points[usable]
    front = np.zeros(len(points), dtype=bool)
    front[usable] = [
        not ((candidates >= point).all(axis=1) & (candidates > point).any(axis=1)).any()
        for point in candidates
    ]
    return front
