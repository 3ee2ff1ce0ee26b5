"""What can be known from questions before any is asked: how many, about how many pictures, and how exactly."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hipp_prune.questions.benchmark import ROLES
from hipp_prune.questions.benchmarks import asked, asked_at_last
from hipp_prune.questions.copies import first_of_copies
from hipp_prune.questions.intervals import expected_half_width
from hipp_prune.questions.question import Question, pictures_of

WIDE = 0.05
"""Half an interval beyond which a warning is due."""

MEASURED = ("search", "validation", "test", "all")
"""Splits on which accuracies are measured; the others are for statistics and training."""

_JUDGING = ("search", "test", "all")
_MOST_ANSWERS = 6
"""That a cell of the table lists."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The questions of one benchmark in one split."""

    split: str
    benchmark: str
    questions: int
    pictures: int
    answers: tuple[tuple[str, int], ...]
    """How often each is right, the most frequent first."""
    half_width: float
    """Half the 95% interval of an accuracy measured on them, in [0, 0.5]; of balanced accuracy where they are Yes and
    No."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What splits hold."""

    counts: tuple[Counted, ...]
    warnings: tuple[str, ...]
    """A sentence each: accuracies that are not known well, and roles without a question."""

    def rows(self) -> list[tuple[str, ...]]:
        """The table to print: its header, then a row a split and benchmark."""
        header = ("split", "benchmark", "questions", "pictures", "answers", "known to")
        return [header, *map(_cells, self.counts)]


def survey(splits: Mapping[Any, Sequence[Question]]) -> Survey:
    """Counts questions, by split and benchmark.

    Args:
        splits: questions by the name of their split, or by ``all``; an empty split is one without questions. Where
            there are several, each is to measure every role.
    """
    counts = [_count(split, name, members) for split, name, members in _by_benchmark(splits)]
    wide = [sentence for each in counts if (sentence := _wide(each))]
    return Survey(counts=tuple(counts), warnings=(*wide, *(_unmeasured(splits) if len(splits) > 1 else ())))


def _by_benchmark(
    splits: Mapping[Any, Sequence[Question]],
) -> Iterator[tuple[str, str, list[Question]]]:
    for split, questions in splits.items():
        for benchmark in asked(questions):
            yield split, benchmark.name, [each for each in questions if each.benchmark == benchmark.name]


def _unmeasured(splits: Mapping[Any, Sequence[Question]]) -> list[str]:
    """Roles without a question, in some splits or in all."""
    served = {
        split: {benchmark.role for benchmark in asked_at_last(questions)}
        for split, questions in splits.items()
    }
    sentences = []
    for role in ROLES:
        without = [split for split, roles in served.items() if role not in roles]
        if len(without) == len(splits):
            sentences.append(f"no question measures {role}, so no preference can weigh it")
        elif without:
            sentences.append(f"no question measures {role} in {', '.join(without)}; give more questions")
    return sentences


def _count(split: str, benchmark: str, questions: Sequence[Question]) -> Counted:
    answers = Counter(question.answer for question in questions if question.answers)
    worth = float(len(questions))
    if all(question.is_yes_no for question in questions) and len(answers) == 2:
        yes, no = answers.values()
        worth = 4 * yes * no / (yes + no)  # balanced accuracy knows the rarer answer worst
    return Counted(
        split=split,
        benchmark=benchmark,
        questions=len(questions),
        pictures=len({*first_of_copies(pictures_of(questions)).values()}),
        answers=tuple(answers.most_common()),
        half_width=expected_half_width(worth, len({question.group for question in questions})),
    )


def _wide(counted: Counted) -> str | None:
    """The warning that accuracies are not known well, where they are to judge by."""
    if counted.split not in _JUDGING or counted.half_width <= WIDE:
        return None
    about = f" about {_number(counted.pictures, 'picture')}" if counted.pictures else ""
    asked = f"{counted.split}: {_number(counted.questions, 'question')}{about}"
    return f"{asked}: accuracies of {counted.benchmark} are known to {_points(counted)}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _cells(counted: Counted) -> tuple[str, ...]:
    shown = ", ".join(f"{answer} {number}" for answer, number in counted.answers)
    if len(counted.answers) > _MOST_ANSWERS:
        shown = f"{len(counted.answers)} different"
    known = _points(counted) if counted.split in MEASURED else ""
    return (
        counted.split,
        counted.benchmark,
        str(counted.questions),
        str(counted.pictures),
        shown,
        known,
    )


def _points(counted: Counted) -> str:
    return f"±{100 * counted.half_width:.0f} points"
