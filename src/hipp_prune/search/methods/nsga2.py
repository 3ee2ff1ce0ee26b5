"""NSGA-II (pymoo): a population of plans, three objectives at once, all on the same questions."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Evaluation, kept_matrix, objective_matrix
from hipp_prune.search.session import Session, random_ratios
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import TableSolution

SETTINGS: dict[str, Any] = {}
NEEDS = ("pymoo",)

_POPULATION = 32


def search(session: Session) -> TableSolution:
    """Evolves a population of ratios until the budget is gone; everything evaluated may answer."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem

    settings, space = session.settings, session.problem.space
    algorithm = NSGA2(
        pop_size=_POPULATION, sampling=random_ratios(session.problem, settings, _POPULATION, session.rng(2))
    )
    algorithm.setup(
        Problem(n_var=space.num_units, n_obj=3, xl=0.0, xu=space.r_max),
        termination=("n_gen", settings.most_evaluations),
        seed=settings.seed,
    )
    evaluations: list[Evaluation] = []
    while session.affordable():
        population = algorithm.ask()
        found: list[Evaluation] = []
        for plans in chunked(decode(population.get("X"), space, settings), session):
            found += session.evaluate(plans, "nsga2", "nsga2")
        session.normaliser.update(session.returns(found))
        session.record("nsga2", found, np.full((len(found), 3), 1 / 3))
        evaluations += found
        if len(found) < len(population):
            break
        population.set("F", -session.returns(found))
        algorithm.tell(infills=population)
    return TableSolution(
        plans=kept_matrix(evaluations),
        objectives=objective_matrix(evaluations),
        scale=session.normaliser.std,
        space=space,
        settings=settings,
    )


def chunked(plans: Ints, session: Session) -> Iterator[Ints]:
    """Plans [P, U] in pieces that the budget affords, until it is gone: what was evaluated before costs nothing."""
    first = 0
    while first < len(plans) and (count := session.affordable()):
        yield plans[first : first + count]
        first += count


def decode(ratios: Floats, space: PlanSpace, settings: SearchSettings) -> Ints:
    """Whole plans [P, U] of ratios [P, U]; one whose sparsity leaves the budget is scaled back into it."""
    sparsity = space.saved(ratios)
    inside = np.clip(sparsity, settings.s_min, settings.s_max)
    return space.kept(space.ratios(np.log(ratios + 1e-9), inside))
