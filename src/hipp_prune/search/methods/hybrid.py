"""Random plans, then the surrogate's proposals, then GRPO on true evaluations around a clone of the surrogate."""

from typing import Any

from hipp_prune.search.session import Session
from hipp_prune.search.solutions import PolicySolution
from hipp_prune.search.training import train_policy

SETTINGS: dict[str, Any] = {}


def search(session: Session) -> PolicySolution:
    """All phases of ``train_policy``."""
    return train_policy(session)
