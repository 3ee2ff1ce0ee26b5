"""What a table says that is taken otherwise than it may be meant: counted in warnings, and refused nowhere."""

from collections.abc import Sequence

from hipp_prune.files.faults import shown
from hipp_prune.questions.own.rows import AskedRow
from hipp_prune.questions.own.table import SEPARATOR, QuestionTable
from hipp_prune.questions.records import warn

_LONG_ANSWER = 8
"""Words of a free answer beyond which no other model says just these."""
_MANY = 10
"""Short answers of which two different ones alone are no accident."""
_FEW = 0.1
"""Share of a table's answers that may be there by mistake."""


def warn_of_blanks(table: QuestionTable, asked: Sequence[AskedRow]) -> None:
    """Says how many rows show no picture where nearly all do: it may be missing.

    Args:
        table: the rows' table.
        asked: its rows.
    """
    blank = [each for each in asked if not each.images]
    if 0 < len(blank) <= _FEW * len(asked):
        rows = "1 row shows" if len(blank) == 1 else f"{len(blank)} rows show"
        warn(
            f"{table.place}: {rows} no picture while others do, such as {blank[0].where}; fill it in where that is no "
            "question about text alone"
        )


def warn_of_sentences(table: QuestionTable, asked: Sequence[AskedRow], *, free: bool) -> None:
    """Says which answers are read as less than they say, and which no model is going to give word by word.

    Args:
        table: the rows' table.
        asked: its rows.
        free: whether the source says that answers are short ones.
    """
    explained = [each for each in asked if each.row.kind == "yes-no" and each.row.explains]
    if explained and not free:
        warn(
            f"{table.place}: {len(explained)} answers go on after yes or no, which alone is asked for, such as "
            f"{shown(explained[0].row.answer)}"
        )
    own = [each for each in asked if each.row.kind == "short-answers" and each.row.answer is not None]
    begun = [each for each in own if each.row.said.startswith(("yes ", "no "))]
    if begun and not free:
        warn(
            f"{table.place}: {len(begun)} answers begin with yes or no and are taken for short answers, such as "
            f"{shown(begun[0].row.answer)}; write Yes or No alone where that is meant"
        )
    two = sorted({each.row.said for each in own})
    if len(two) == 2 and len(own) >= _MANY and not free:
        warn(
            f"{table.place}: all {len(own)} short answers are {shown(two[0])} or {shown(two[1])}; write Yes and No if "
            f"they mean that, or give both as choices, {SEPARATOR.join(two)}"
        )
    long = [each for each in own if len(str(each.row.answer).split()) > _LONG_ANSWER]
    if long:
        warn(
            f"{table.place}: {len(long)} of {len(own)} free answers have more than {_LONG_ANSWER} words, such as that "
            f"of {long[0].where}, and count as right only word by word; shorten them, or leave the answers of all rows "
            "empty for agreement with the dense model"
        )


def warn_of_neither(table: QuestionTable, asked: Sequence[AskedRow]) -> None:
    """Says how many answers are neither Yes nor No where nearly all are: they may be misspelt.

    Args:
        table: the rows' table.
        asked: its rows, all with an answer.
    """
    free = [each for each in asked if each.row.choices is None]
    odd = [each for each in free if each.row.kind != "yes-no"]
    if 0 < len(odd) <= _FEW * len(free):
        some = f"{len(odd)} of {len(free)} answers {'is' if len(odd) == 1 else 'are'}"
        warn(
            f"{table.place}: {some} neither Yes nor No, such as {shown(odd[0].row.answer)} at {odd[0].where}, and "
            "taken for short answers; correct what is misspelt"
        )
