"""The same policy as the hybrid's, from scratch: no random plans, no surrogate."""

from hipp_prune.search.session import Session
from hipp_prune.search.settings import FROM_SCRATCH
from hipp_prune.search.solutions import PolicySolution
from hipp_prune.search.training import train_policy

SETTINGS = FROM_SCRATCH


def search(session: Session) -> PolicySolution:
    """GRPO from the first evaluation on: no surrogate, no warm-up."""
    return train_policy(session)
