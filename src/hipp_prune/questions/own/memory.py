"""Questions in memory: a mapping a row, as in ``[{"image": picture, "question": "Is it?", "answer": "yes"}]``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.own.loading import load_table
from hipp_prune.questions.own.table import QuestionTable
from hipp_prune.questions.question import Question

PLACE = "questions"
"""What sentences and ids call them."""


def load_rows(rows: Sequence[Mapping[str, Any]], how: Loading) -> list[Question]:
    """The questions that rows ask, by the same columns and kinds as those of a file; each picture becomes a file.

    Args:
        rows: with the keys ``image`` (a picture of PIL, a path, or bytes), ``question``, ``answer`` and so on.
        how: where pictures are written.

    Raises:
        QuestionError: see ``load_own``.
        ImageError: a picture is not there (skippable).
    """
    for number, row in enumerate(rows):
        if odd := next((key for key in row if not isinstance(key, str)), None):
            raise QuestionError(
                f"{PLACE}[{number}]: expected names of columns, found {shown(odd)}; correct it"
            )
    table = QuestionTable(
        place=PLACE,
        name=PLACE,
        columns=tuple(dict.fromkeys(column for row in rows for column in row)),
        rows=[(f"{PLACE}[{number}]", row) for number, row in enumerate(rows)],
        home=Path(),
    )
    return load_table(table, how)
