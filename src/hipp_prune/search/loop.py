"""One search: a budget, an archive, a named method, and what answers queries afterwards."""

from dataclasses import dataclass

from hipp_prune import distributed
from hipp_prune.files.progress import Progress
from hipp_prune.search.archive import Archive
from hipp_prune.search.problem import Problem
from hipp_prune.search.searchers import load_method, require_method
from hipp_prune.search.session import Session, Step
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import Solution


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search leaves."""

    answers: Solution
    curve: tuple[Step, ...]
    scale: tuple[float, float, float]
    """σ of (R_rob, R_util, R_comp) at the end: the units in which a preference weighs objectives."""
    spent: float
    """Evaluations of a whole minibatch paid for."""
    unspent: str | None
    """Why it did not spend all the evaluations it was given; None where it did."""


def search(
    problem: Problem,
    settings: SearchSettings,
    archive: Archive,
    *,
    progress: Progress | None = None,
) -> SearchResult:
    """Searches with ``settings.method`` until its evaluations or minutes are spent.

    Args:
        problem: what is pruned, and what a plan costs.
        settings: settings.
        archive: evaluations already paid for; new ones are added to it.
        progress: told (evaluations done, evaluations in all).

    Raises:
        InputError: if there is no such method, or it needs a package that is not installed.
        RunError: if what is paid for was compensated otherwise.
    """
    require_method(settings.method)
    archive.check_compensation(settings.mode(has_grams=False))
    session = Session(problem=problem, settings=settings, archive=archive, progress=progress)
    answers = load_method(settings.method).search(session)
    learnt = [tensor.numpy().tobytes() for tensor in answers.tensors().values()]
    distributed.agree("what the search learnt", b"".join(learnt))
    return SearchResult(
        answers=answers,
        curve=tuple(session.curve),
        scale=tuple(session.normaliser.std.tolist()),
        spent=session.spent,
        unspent=session.unspent,
    )
