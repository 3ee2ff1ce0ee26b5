"""What a page says of a run in words: of the benchmarks that were asked and the roles they serve, and of no others."""

from collections.abc import Sequence
from html import escape

from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.questions.benchmark import ROLES, Benchmark, Role
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.report.contents import Contents
from hipp_prune.search.query.roles import measured_roles

_ROLES: dict[Role, str] = {
    "robustness": "not seeing things that are not there",
    "utility": "answering well",
}
_COLUMNS = {
    "balanced accuracy": "is the mean of the share right where “Yes” is right and where “No” is right, so always "
    "giving one answer scores 50%, like guessing.",
    "Yes-rate": "is how often the model says “Yes”; near 0% or 100% it has stopped looking at the picture.",
    "chance": "is what guessing scores; an accuracy means something only above it.",
}
"""What a number of a score means, by the name of its column."""


def preference_html(contents: Contents) -> str:
    """What a preference weighs in this run: each role, with the benchmarks that measure it."""
    found = _benchmarks_of(contents)
    roles = ", ".join(_role_html(role, _titles(found, role), known=bool(found)) for role in ROLES)
    return f"{roles} and <em>compression</em> (being small)"


def one_role_html(contents: Contents) -> str:
    """A preference for one role alone, which this run can answer."""
    role = measured_roles(contents.archive)[0]
    weights = ",".join(str(int(each == role)) for each in (*ROLES, "compression"))
    return f"<code>{weights}</code> is {role} alone"


def directions_html(contents: Contents) -> str:
    """Where what is good lies in the cloud of plans, by what its axes are."""
    ends = {"robustness": "robust", "utility": "useful"}
    up, *more = [ends[role] for role in measured_roles(contents.archive)]
    along = f"the more {more[0]}" if more else "the more is removed"
    return f"the higher, the more {up}; the further right, {along}"


def explained_html(evaluations: Sequence[Scorecard]) -> str:
    """A paragraph for each benchmark that was asked, and for each number of their scores that wants one."""
    scores = {name: score for each in evaluations for name, score in each.results.scores.items()}
    told = {each.title: each.explanation for name, each in BENCHMARKS.items() if name in scores}
    columns = {column for score in scores.values() for column, _, _ in score.columns()}
    told |= {name: text for name, text in _COLUMNS.items() if name in columns}
    return "".join(
        f"<p><b>{escape(name[:1].upper() + name[1:])}</b> {escape(text)}</p>"
        for name, text in told.items()
        if text
    )


def return_html(contents: Contents) -> str:
    """What the search calls R, and which benchmarks it is measured on."""
    found = _benchmarks_of(contents)
    told = [f"{escape(' and '.join(titles))} ({role})" for role in ROLES if (titles := _titles(found, role))]
    where = f", on {' and on '.join(told)}" if told else ""
    answer = "the dense model’s own answer" if _is_of_dense(found) else "the right answer"
    drift = any(each.of_dense for each in found)
    words = (
        "; where there are no labels, minus how far its words are from the dense model’s (KL)"
        if drift
        else ""
    )
    return (
        f"<b>R</b> says how sure the model is of {answer}{where}: unless the search was told otherwise, the mean "
        f"log-probability of that answer, at best 0{words}."
    )


def margin_html(contents: Contents) -> str:
    """What the margin of an answer is."""
    wanted = "the dense model’s own answer" if _is_of_dense(_benchmarks_of(contents)) else "the right answer"
    return (
        f"<b>Margin</b> is how much the model prefers {wanted} to all others, in nats (log-odds): positive is right, "
        "near 0 is undecided."
    )


def changes_html(contents: Contents) -> str:
    """What the cards of answers show, in their order."""
    if _is_of_dense(_benchmarks_of(contents)):
        return "Right is what the dense model says, for want of labels. What pruning changed, then what it left alone"
    return "What pruning broke, then what it mended, then what it left alone"


def count_html(contents: Contents, label: str, counts: tuple[int, int, int]) -> str:
    """How many answers pruning changed.

    Args:
        contents: of the run.
        label: of the pruned model.
        counts: of answers: broken, mended, shared (``count_changes``).
    """
    broken, mended, shared = counts
    no_labels = _is_of_dense(_benchmarks_of(contents))
    told = f"changed {broken + mended}" if no_labels else f"broke {broken} and mended {mended}"
    return f"{escape(label)}: {told} of {shared} answers"


def _is_of_dense(benchmarks: Sequence[Benchmark]) -> bool:
    """Whether there are no labels at all: whatever is wanted is what the dense model says."""
    return bool(benchmarks) and all(each.of_dense for each in benchmarks)


def _benchmarks_of(contents: Contents) -> list[Benchmark]:
    """What the run's models and plans were asked, in the order of names; nothing before any was."""
    names = {name for each in contents.evaluations.values() for name in each.results.scores}
    names |= {name for each in contents.archive for name in each.accuracies}
    return [benchmark for name, benchmark in BENCHMARKS.items() if name in names]


def _titles(benchmarks: Sequence[Benchmark], role: Role) -> list[str]:
    return [each.title for each in benchmarks if each.role == role]


def _role_html(role: Role, titles: Sequence[str], *, known: bool) -> str:
    """A role with what measures it.

    Args:
        role: one of the two.
        titles: of the benchmarks that serve it here.
        known: whether any benchmark is known, so that none of this role means that it is not measured.
    """
    if known and not titles:
        return f"<em>{role}</em> (which no question of this run measures, so it weighs nothing)"
    measured = f"; here by {escape(' and '.join(titles))}" if titles else ""
    return f"<em>{role}</em> ({_ROLES[role]}{measured})"
