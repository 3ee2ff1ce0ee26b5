"""The paper's choices throughout, and whole minibatches."""

from hipp_prune.search.session import Session
from hipp_prune.search.settings import FROM_SCRATCH
from hipp_prune.search.solutions import PolicySolution
from hipp_prune.search.training import train_policy

SETTINGS = {
    **FROM_SCRATCH,
    "probe": None,
    "groups": 2,
    "unit": "rows",
    "allocation": "paper",
    "importance": "paper",
    "returns": "margin",
    "relabel": False,
    "inner_epochs": 1,
    "clip": None,
    "advantage": "paper",
    "gate": "all",
    "band": "paper",
    "flow": "chain",
    "gate_floor": 0.0,
}


def search(session: Session) -> PolicySolution:
    """GRPO from the first evaluation on, with the choices of the paper."""
    return train_policy(session)
