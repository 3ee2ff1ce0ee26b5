"""Answers to yes/no questions by the parts of a benchmark, and what several official scores count alike."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

from annotated_types import Predicate

from hipp_prune.errors import InputError
from hipp_prune.files.faults import name
from hipp_prune.files.ranges import Bounds, Natural, in_order
from hipp_prune.files.strict import check_value
from hipp_prune.questions.benchmark import RESTORE, Column, Rule
from hipp_prune.questions.intervals import (
    Interval,
    balanced_accuracy_interval,
    percent,
    percents,
    with_interval,
)
from hipp_prune.questions.question import Question
from hipp_prune.questions.yes_no import YesNoCounts, count_yes_no, ratio

ALL = "all"
"""The part with every question."""

Fraction = Annotated[tuple[Natural, Natural], Predicate(in_order)]
"""How many groups of questions are right throughout, and how many there are."""


@dataclass(frozen=True, kw_only=True)
class YesNoParts:
    """Counts of each part; ``accuracy`` is the balanced one over all questions."""

    parts: dict[str, YesNoCounts]
    """By part, positive = yes; parts without a question are absent."""
    intervals: dict[str, Bounds]
    """95% interval of balanced accuracy, by part: a bootstrap over the questions' groups."""

    @property
    def n(self) -> int:
        """Questions asked."""
        return self.parts[ALL].n

    @property
    def accuracy(self) -> float:
        """Balanced accuracy over all parts, in [0, 1]."""
        return self.parts[ALL].balanced_accuracy

    @property
    def chance(self) -> float:
        """A half, however unbalanced the labels are."""
        return 0.5

    @property
    def interval(self) -> Interval:
        """Of ``accuracy``."""
        return self.intervals[ALL]

    @property
    def remark(self) -> str:
        """How many answers the rule could not read."""
        failed = self.parts[ALL].failed
        return f"neither Yes nor No, so wrong: {failed} answers" if failed else ""

    def table(
        self, title: str, official: Sequence[str], cells: Callable[[str], Iterable[str]]
    ) -> list[tuple[str, ...]]:
        """A row a part under a header: n, the official metrics, balanced accuracy with its interval; percentages.

        Args:
            title: of the benchmark.
            official: names of its official metrics.
            cells: their values in a part, by its name.
        """
        rows = (
            (
                part,
                str(counts.n),
                *cells(part),
                percent(counts.balanced_accuracy),
                percents(self.intervals[part]),
            )
            for part, counts in self.parts.items()
        )
        return [(title, "n", *official, "bal.", "95%"), *rows]

    def summary(self, *official: Column) -> list[Column]:
        """Balanced accuracy with its interval, chance, the official columns, the number of questions."""
        return [
            ("balanced accuracy", "%", with_interval(self.accuracy, self.interval)),
            ("chance", "%", percent(self.chance)),
            *official,
            ("n", "", str(self.n)),
        ]

    def document(self, title: str, official: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
        """What ``restore_parts`` reads: counts of each part with what is official there, by part; the intervals."""
        parts = {
            part: {**asdict(counts), "balanced_accuracy": counts.balanced_accuracy, **official(part)}
            for part, counts in self.parts.items()
        }
        return {"title": title, "parts": parts, "intervals": self.intervals}


PartsScore = TypeVar("PartsScore", bound=YesNoParts)


def count_parts(
    questions: Sequence[Question],
    predictions: Sequence[int | None],
    rule: Rule,
    parts: Iterable[str],
) -> dict[str, Any]:
    """The fields of :class:`YesNoParts`, by name.

    Args:
        questions: at least one, with answers Yes and No.
        predictions: indices into their answers, None where the rule could tell neither.
        rule: under which metrics follow from counts.
        parts: subsets or tags of questions, in the order of the report; ``ALL`` comes before them.
    """
    said = [None if p is None else q.answers[p] == "Yes" for q, p in zip(questions, predictions, strict=True)]
    counts, intervals = {}, {}
    for part in (ALL, *parts):
        rows = [row for row, question in enumerate(questions) if is_of(question, part)]
        if rows:
            labels, told = [questions[row].answer == "Yes" for row in rows], [said[row] for row in rows]
            groups = [questions[row].group for row in rows]
            counts[part] = count_yes_no(labels, told, rule)
            intervals[part] = balanced_accuracy_interval(labels, told, groups)
    return {"parts": counts, "intervals": intervals}


def is_of(question: Question, part: str) -> bool:
    """Whether a part has a question."""
    return part in (ALL, question.subset) or part in question.tags


def restore_parts(
    content: Mapping[str, Any], kind: type[PartsScore], where: str, parts: Iterable[str] | None = None
) -> PartsScore:
    """The score that a ``to_json`` described; metrics are computed again from the counts.

    Args:
        content: what was read.
        kind: whose ``to_json``.
        where: what the sentence calls it.
        parts: those that there may be besides ``ALL``; None for any.

    Raises:
        InputError: it is something else; the sentence begins with ``where``.
    """
    score = check_value(content, kind, where=where, remedy=RESTORE, error=InputError, foreign=True)
    counted, bounded = score.parts.keys(), score.intervals.keys()
    known = counted if parts is None else {ALL, *parts}
    if ALL not in counted or counted != bounded or not counted <= known:
        raise InputError(
            f"{where}: expected counts and an interval of '{ALL}' and of each part, found counts of "
            f"{', '.join(map(name, counted))} and intervals of {', '.join(map(name, bounded))}; {RESTORE}"
        )
    return score


def all_right(groups: Iterable[Hashable], right: Iterable[bool]) -> Fraction:
    """Groups that are right throughout, and groups; paired by position."""
    throughout: dict[Hashable, bool] = {}
    for group, good in zip(groups, right, strict=True):
        throughout[group] = throughout.get(group, True) and good
    return sum(throughout.values()), len(throughout)


def as_share(counted: Fraction) -> float:
    """In [0, 1]; 0 of no group."""
    return ratio(*counted)
