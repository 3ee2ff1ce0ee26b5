"""A cell's file: every answer, and whose they are."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hipp_prune.errors import IncompleteRunError
from hipp_prune.evaluation.scorecard import Answer
from hipp_prune.experiments.compare.cell_results import AnswerColumns, CellResult, read_results
from hipp_prune.questions.question import Question
from tests.unit.experiments.compare.made import answers, cell_result

BEFORE = answers(yes=[1.5, -0.5], no=[2.0, 0.25], choice=[-1.0])
AFTER = answers(yes=[1.5, 0.5], no=[2.0, 0.25], choice=[1.0])


def test_a_cell_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = cell_result("hybrid", preference="1,1,0", before=BEFORE, after=AFTER, variant="κ = 2")
    written.save(tmp_path)
    (read,) = read_results(tmp_path)
    for stage in ("before", "after"):
        for name, column in vars(getattr(written, stage)).items():
            assert np.array_equal(getattr(getattr(read, stage), name), column), name
    assert replace(read, before=BEFORE, after=AFTER) == replace(written, before=BEFORE, after=AFTER)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    written = cell_result(after=AFTER)
    written.save(tmp_path)
    path = written.cell.path(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IncompleteRunError, match=r"s0\.5-0\.parquet is damaged .*; delete it and start"):
        CellResult.load(path)


@pytest.mark.parametrize(
    ("column", "values", "complaint"),
    [
        ("margin_before", pa.array(["1"] * 5), r"the columns id .*, found id .*margin_before \(string\)"),
        ("group", pa.array([0.0] * 5), r"the columns id .*, found id .*group \(double\)"),
        (
            "given_after",
            pa.array(["Yes", None, "No", "No", "A"]),
            "a value in every row of column given_after",
        ),
        (
            "margin_after",
            pa.array([math.nan] * 5, pa.float32()),
            "a value in every row of column margin_after",
        ),
    ],
)
def test_columns_are_what_they_are_declared_to_be(
    column: str, values: pa.Array, complaint: str, tmp_path: Path
) -> None:
    written = cell_result(after=AFTER)
    written.save(tmp_path)
    path = written.cell.path(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    with pytest.raises(IncompleteRunError, match=rf"parquet: expected {complaint}.*; delete it and start"):
        CellResult.load(path)


def test_what_a_cell_says_of_itself_is_declared(tmp_path: Path) -> None:
    written = cell_result(after=AFTER)
    written.save(tmp_path)
    path = written.cell.path(tmp_path)
    pq.write_table(pq.read_table(path).replace_schema_metadata({"hipp-prune": '{"cell": 3}'}), path)
    with pytest.raises(IncompleteRunError, match=r"parquet: expected field 'cell' to be an object, found 3"):
        CellResult.load(path)


def test_questions_about_one_picture_share_a_group() -> None:
    def question(number: int, group: str) -> Question:
        return Question(
            benchmark="pope",
            id=str(number),
            prompt="Is there a cup in the image?",
            images=(),
            answers=("Yes", "No"),
            gold=number % 2,
            subset="random",
            group=group,
        )

    asked = [question(0, "a.png"), question(1, "b.png"), question(2, "a.png")]
    given = [
        Answer(
            benchmark=each.benchmark,
            id=each.id,
            prompt=each.prompt,
            images=(),
            gold=each.answer,
            given="No",
            margin=-1.0,
        )
        for each in asked
    ]
    made = AnswerColumns.of(asked, given)
    assert made.group.tolist() == [0, 1, 0]
    assert made.right.tolist() == [False, True, False]
