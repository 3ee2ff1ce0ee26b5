"""EvoPress: a (1 + λ) evolution at fixed sparsity whose mutations move pruning from one unit to another.

Selection is multi-fidelity: all offspring answer a few questions, the best of them and their parent more, always the
same ones. The method knows one objective and one sparsity at a time, so the budget is dealt out in turn over a
fixed set of operating points: robustness, utility and both, each at the smallest, middle and largest sparsity.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import kept_matrix, objective_matrix
from hipp_prune.search.session import Session
from hipp_prune.search.solutions import TableSolution

SETTINGS: dict[str, Any] = {}

_PREFERENCES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 0.0))
_OFFSPRING = 8
_SURVIVORS = 2
_FIRST, _SECOND = 8, 2
"""Shares of a minibatch that all offspring, and then the survivors and their parent, are asked: 1/8 and 1/2."""
_LEVEL = 0.05
"""Ratio that a swap moves, of a unit of mean weight."""
_MOST_SWAPS = 3


@dataclass(kw_only=True)
class _Lineage:
    """One operating point and the best plan known for it."""

    preference: Floats
    """λ of the operating point, [3]."""
    kept: Ints
    """Neurons that its plan keeps, [U]."""


def search(session: Session) -> TableSolution:
    """Evolves every operating point in turn, then compares the winners on common questions.

    What is left then buys mutations of the winners, asked the same.
    """
    settings, space = session.settings, session.problem.space
    sparsities = sorted({settings.s_min, (settings.s_min + settings.s_max) / 2, settings.s_max})
    lineages = [
        _Lineage(preference=np.array(preference), kept=space.kept(np.full((1, space.num_units), sparsity))[0])
        for preference, sparsity in product(_PREFERENCES, sparsities)
    ]
    first, second = max(1, settings.minibatch // _FIRST), max(1, settings.minibatch // _SECOND)
    price = _OFFSPRING * first + (_SURVIVORS + 1) * second
    reserve = len(lineages) * settings.minibatch
    number = 0
    while session.affordable(1) >= price + reserve:
        _generation(session, lineages[number % len(lineages)], number, first=first, second=second)
        number += 1
    plans = np.unique(np.stack([lineage.kept for lineage in lineages]), axis=0)[: settings.most_evaluations]
    found = session.evaluate(plans, "winners", "evopress")
    while count := min(len(plans), session.affordable()):
        rng = session.rng(5, len(found))
        found += session.evaluate(
            np.stack([mutate(plan, space, rng) for plan in plans[:count]]), "winners", "evopress"
        )
    session.remainder = f"a plan is asked {settings.minibatch} questions, more than are left"
    session.normaliser.update(session.returns(found))
    return TableSolution(
        plans=kept_matrix(found),
        objectives=objective_matrix(found),
        scale=session.normaliser.std,
        space=space,
        settings=settings,
    )


def _generation(session: Session, lineage: _Lineage, number: int, *, first: int, second: int) -> None:
    """Mutates the parent, asks the offspring ``first`` questions and the survivors ``second``; the best one stays."""
    space, rng = session.problem.space, session.rng(4, number)
    offspring = np.stack([mutate(lineage.kept, space, rng) for _ in range(_OFFSPRING)])
    fitness = _fitness(session, lineage, offspring, f"generation-{number}-all", first)
    survivors = offspring[np.argsort(-fitness, kind="stable")[:_SURVIVORS]]
    finalists = np.concatenate([lineage.kept[None], survivors])
    fitness = _fitness(session, lineage, finalists, f"generation-{number}-best", second)
    lineage.kept = finalists[fitness.argmax()]


def _fitness(session: Session, lineage: _Lineage, plans: Ints, minibatch: str, size: int) -> Floats:
    """Σ_k λ_k R̃_k of plans on one minibatch, [P]."""
    found = session.evaluate(plans, minibatch, "evopress", size=size)
    session.normaliser.update(session.returns(found))
    session.record("evopress", found, np.tile(lineage.preference, (len(found), 1)))
    return session.normaliser(session.returns(found)) @ lineage.preference


def mutate(kept: Ints, space: PlanSpace, rng: np.random.Generator) -> Ints:
    """A plan [U] of the same sparsity: one to three times, one unit gives back what another loses.

    The number of swaps is the smaller of two uniform draws, as in EvoPress, so that single swaps prevail.
    """
    ratios = 1.0 - kept / space.widths
    level = _LEVEL * space.weights.mean() / space.weights
    for _ in range(int(rng.integers(1, _MOST_SWAPS + 1, size=2).min())):
        room, spare = ratios + level <= space.r_max + 1e-9, ratios >= level - 1e-9
        if not (room.any() and spare.any()):
            break
        more, less = rng.choice(np.flatnonzero(room)), rng.choice(np.flatnonzero(spare))
        ratios[more] += level[more]
        ratios[less] -= level[less]
    return space.kept(ratios[None].clip(0.0, space.r_max))[0]
