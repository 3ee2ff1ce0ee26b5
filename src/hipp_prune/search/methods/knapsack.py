"""One-at-a-time sensitivity and an exact knapsack: what each unit costs alone, added up as if units were independent.

Every unit is pruned to a few levels while the others stay whole, all on the same questions; what lies between two
levels is interpolated. The best plan for a trade-off and a sparsity is then a multiple-choice knapsack, solved by
dynamic programming.
"""

from itertools import product
from typing import Any

import numpy as np

from hipp_prune.objectives.returns import compression_return
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import objective_matrix
from hipp_prune.search.session import Session, random_ratios
from hipp_prune.search.solutions import TableSolution

SETTINGS: dict[str, Any] = {}

_LEVELS = 4
"""Ratios r_max/4, …, r_max at which a unit is measured."""
_FEWEST = 8
"""A budget too small for a whole pass asks fewer questions a plan, down to this number; then it measures less."""
_CHOICES = 20
"""Ratios r_max/20, …, r_max between which the knapsack chooses."""
_SPARSITIES = 33
_TRADE_OFFS = 9
"""Weightings of the two quality objectives in the table of answers."""
_RANDOM_PLANS = 512
"""Plans whose *predicted* returns define σ: probes of single units hardly vary in sparsity."""


def search(session: Session) -> TableSolution:
    """Measures sensitivities until the budget is gone, then solves one knapsack for each trade-off and sparsity."""
    settings, space = session.settings, session.problem.space
    damage = measure_sensitivity(session)
    random = random_ratios(session.problem, settings, _RANDOM_PLANS, session.rng(3))
    session.normaliser.update(_predicted(damage, random, space, (settings.s_min, settings.s_max)))
    scale = session.normaliser.std
    unit = np.divide(1.0, scale[:2], out=np.zeros(2), where=scale[:2] > 0)
    sparsities = np.unique(np.linspace(settings.s_min, settings.s_max, _SPARSITIES))
    ratios = np.concatenate(
        [
            solve_knapsack(np.tensordot([weight, 1 - weight] * unit, damage, axes=1), sparsities, space)
            for weight in np.linspace(0.0, 1.0, _TRADE_OFFS)
        ]
    )
    plans = space.kept(ratios)
    objectives = _predicted(damage, 1 - plans / space.widths, space, (0.0, 1.0))
    return TableSolution(plans=plans, objectives=objectives, scale=scale, space=space, settings=settings)


def measure_sensitivity(session: Session) -> Floats:
    """Mean loss of (R_rob, R_util) when one unit alone is pruned, [2, U, 1 + levels], 0 at ratio 0.

    Passes repeat on new questions until the budget is gone; cells never measured are interpolated.
    """
    settings, space = session.settings, session.problem.space
    cells = list(product(range(_LEVELS, 0, -1), range(space.num_units)))
    probes = np.zeros((1 + len(cells), space.num_units))  # the first is the dense model
    for row, (level, unit) in enumerate(cells, start=1):
        probes[row, unit] = space.r_max * level / _LEVELS
    kept = space.widths - np.floor(probes * space.widths + 1e-9).astype(np.int64)
    size = min(settings.minibatch, max(_FEWEST, session.affordable(1) // len(kept)))
    total = np.zeros((2, space.num_units, 1 + _LEVELS))
    count = np.zeros((space.num_units, 1 + _LEVELS), dtype=np.int64)
    number = 0
    session.remainder = "what is left buys no unit's measurement beside the dense model's"
    while (fitting := min(len(kept), session.affordable(size))) > 1:
        found = session.evaluate(kept[:fitting], f"knapsack-{number}", "knapsack", size=size)
        session.record("knapsack", found, np.full((fitting, 3), 1 / 3))
        quality = objective_matrix(found)[:, :2]
        for (level, unit), loss in zip(cells, quality[0] - quality[1:], strict=False):
            total[:, unit, level] += loss
            count[unit, level] += 1
        number += 1
    return _filled(total, count)


def solve_knapsack(damage: Floats, sparsities: Floats, space: PlanSpace) -> Floats:
    """Ratios [S, U] of least summed damage at the given sparsities [S].

    Weights are counted in cells of the budget axis; where all units weigh alike, a cell is one choice and the
    optimum over the choices is exact.

    Args:
        damage: of each unit at ratios 0, r_max/levels, …, r_max, [U, 1 + levels].
        sparsities: budgets, [S], in [0, r_max].
        space: weights and box.
    """
    choices = np.linspace(0.0, 1.0, _CHOICES + 1)
    measured = np.linspace(0.0, 1.0, damage.shape[1])
    costs = np.stack([np.interp(choices, measured, row) for row in damage])
    cells = np.rint(np.outer(space.weights / space.weights.mean(), choices * _CHOICES)).astype(np.int64)
    last = int(cells[:, -1].sum())
    best = np.where(np.arange(last + 1) == 0, 0.0, np.inf)
    chosen = []
    for cost, step in zip(costs, cells, strict=True):
        options = np.full((_CHOICES + 1, last + 1), np.inf)
        for choice in range(_CHOICES + 1):
            options[choice, step[choice] :] = best[: last + 1 - step[choice]] + cost[choice]
        chosen.append(options.argmin(axis=0))
        best = options.min(axis=0)
    reachable = np.flatnonzero(np.isfinite(best))
    ratios = np.zeros((len(sparsities), len(costs)))
    for row, sparsity in enumerate(sparsities):
        cell = int(reachable[np.abs(reachable - sparsity / space.attainable * last).argmin()])
        for unit in reversed(range(len(costs))):
            choice = chosen[unit][cell]
            ratios[row, unit] = choices[choice] * space.r_max
            cell -= cells[unit, choice]
    return space.ratios(np.log(ratios + 1e-9), sparsities)


def _filled(total: Floats, count: Ints) -> Floats:
    """Means of measured cells; others on straight lines between their neighbours, ratio 0 costing nothing."""
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    levels = np.arange(count.shape[1])
    for unit in range(len(count)):
        known = (count[unit] > 0) | (levels == 0)
        for objective in mean:
            objective[unit] = np.interp(levels, levels[known], objective[unit, known])
    return mean


def _predicted(damage: Floats, ratios: Floats, space: PlanSpace, compression: tuple[float, float]) -> Floats:
    """Predicted (−damage, −damage, R_comp) of ratios [P, U], [P, 3], with R_comp rising over ``compression``."""
    measured = np.linspace(0.0, space.r_max, damage.shape[2])
    quality = [
        -sum(np.interp(ratios[:, unit], measured, row) for unit, row in enumerate(objective))
        for objective in damage
    ]
    sparsity = space.saved(ratios)
    low, high = compression
    return np.stack([*quality, compression_return(sparsity, s_lo=low, s_hi=high)], axis=1)
