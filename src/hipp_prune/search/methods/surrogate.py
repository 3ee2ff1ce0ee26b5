"""Random plans, then the surrogate's proposals; it answers with its exact optimum (Eq. 3 without a policy)."""

from hipp_prune.search.phases import propose, refit, spend_rest, warm_up
from hipp_prune.search.session import Session
from hipp_prune.search.solutions import SurrogateSolution
from hipp_prune.search.surrogate import fit_surrogate

SETTINGS = {"proposals": 0.7}


def search(session: Session) -> SurrogateSolution:
    """Fits the surrogate to all that the budget buys."""
    known = spend_rest(session, propose(session, warm_up(session)))
    space = session.problem.space
    surrogate = refit(session, known) if known else fit_surrogate([], space)
    return SurrogateSolution(
        surrogate=surrogate,
        scale=session.normaliser.std,
        space=space,
        settings=session.settings,
    )
