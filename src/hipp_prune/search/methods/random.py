"""The floor of every comparison: random plans, all asked the same questions, and the best of them for each query."""

from typing import Any

import numpy as np

from hipp_prune.search.archive import Evaluation, kept_matrix, objective_matrix
from hipp_prune.search.session import Session, random_ratios
from hipp_prune.search.solutions import TableSolution

SETTINGS: dict[str, Any] = {}

_CHUNK = 8


def search(session: Session) -> TableSolution:
    """Evaluates random plans until the budget is gone."""
    evaluations: list[Evaluation] = []
    while count := min(_CHUNK, session.affordable()):
        rng = session.rng(2, len(evaluations))
        kept = session.problem.space.kept(random_ratios(session.problem, session.settings, count, rng))
        found = session.evaluate(kept, "random", "random")
        session.normaliser.update(session.returns(found))
        session.record("random", found, np.full((count, 3), 1 / 3))
        evaluations += found
    return TableSolution(
        plans=kept_matrix(evaluations),
        objectives=objective_matrix(evaluations),
        scale=session.normaliser.std,
        space=session.problem.space,
        settings=session.settings,
    )
