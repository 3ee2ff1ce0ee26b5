"""GRPO without conditioning: one policy for each anchor preference, the evaluations dealt out among them."""

from typing import Any

import torch

from hipp_prune.plans.preference import ANCHORS
from hipp_prune.search.session import Session
from hipp_prune.search.settings import FROM_SCRATCH
from hipp_prune.search.solutions import AnchoredSolution
from hipp_prune.search.training import Learner, most_steps, next_seats, step

SETTINGS: dict[str, Any] = {**FROM_SCRATCH, "groups": 1, "relabel": False}


def search(session: Session) -> AnchoredSolution:
    """Trains a policy for each anchor, in turn, until the budget is gone; queries go to the nearest anchor."""
    settings = session.settings
    torch.manual_seed(settings.seed)
    learners = [Learner.of(session) for _ in ANCHORS]
    for number in range(most_steps(settings)):
        if (seats := next_seats(session)) is None:
            break
        anchor = number % len(ANCHORS)
        preferences = ANCHORS[[anchor] * seats.groups]
        step(session, learners[anchor], number, preferences=preferences, done=session.used, group=seats.group)
    return AnchoredSolution(experts=tuple(learner.answers(session) for learner in learners))
