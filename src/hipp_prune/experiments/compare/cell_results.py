"""What a cell leaves: every answered question in columns, and the parquet file that keeps them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hipp_prune.errors import IncompleteRunError
from hipp_prune.evaluation.scorecard import Answer
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.files.ranges import Natural, NotNegative
from hipp_prune.files.strict import parse_json
from hipp_prune.files.writing import atomic_path
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import Ledger
from hipp_prune.questions.benchmarks import serving
from hipp_prune.questions.question import Question

Texts = NDArray[np.str_]

_REMEDY = "delete it and start the comparison again"
_SHARED = ("id", "benchmark", "subset", "group", "options", "gold")
_COLUMNS = {*_SHARED, "given_before", "margin_before", "given_after", "margin_after"}

_METADATA = b"hipp-prune"
"""Key under which a file says what its answers are of."""


@dataclass(frozen=True, kw_only=True)
class AnswerColumns:
    """What one checkpoint answered, a row a question, [N]."""

    id: Texts
    """``Question.id``."""
    benchmark: Texts
    """``Question.benchmark``."""
    subset: Texts
    """``Question.subset``."""
    group: Ints
    """Number of the picture (or text) that the question shares with others."""
    options: Ints
    """How many answers the question allows."""
    gold: Texts
    """The right answer."""
    given: Texts
    """The most probable of the allowed answers."""
    margin: Floats
    """Log-margin of the right answer (Eq. 11), in nats."""

    @classmethod
    def of(cls, questions: Sequence[Question], answers: Sequence[Answer]) -> "AnswerColumns":
        """The answers to questions, in the same order."""
        numbers: dict[str, int] = {}
        groups = [numbers.setdefault(question.group, len(numbers)) for question in questions]
        return cls(
            id=np.array([question.id for question in questions]),
            benchmark=np.array([question.benchmark for question in questions]),
            subset=np.array([question.subset for question in questions]),
            group=np.array(groups, dtype=np.int64),
            options=np.array([len(question.answers) for question in questions], dtype=np.int64),
            gold=np.array([answer.gold for answer in answers]),
            given=np.array([answer.given for answer in answers]),
            margin=np.array([answer.margin for answer in answers], dtype=np.float64),
        )

    @property
    def robust(self) -> NDArray[np.bool_]:
        """Whether each question serves robustness; the others serve utility."""
        return np.isin(self.benchmark, serving("robustness"))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is."""
        return self.gold == self.given


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What a cell's checkpoint answered before and after recovery, and what it cost."""

    cell: Cell
    settings: dict[str, Any]
    """Of the baseline, all of them; of a search, all of the search's."""
    ledger: Ledger
    """What the checkpoint saves before recovery."""
    recovered: Ledger
    """And after it: an untied head adds parameters."""
    kept: tuple[int, ...] | None
    """What each unit of its plan keeps; None where it is no plan that made it."""
    seconds: dict[str, float]
    """Wall time of planning and writing (``plan``), evaluating twice (``evaluate``) and recovering (``recover``)."""
    search: dict[str, float] | None
    """Seconds and evaluations of the search it was asked of, which it shares with others."""
    before: AnswerColumns
    after: AnswerColumns

    def save(self, root: Path) -> None:
        """Writes the cell's file, atomically.

        Raises:
            RunError: if the disk is full.
        """
        columns = {name: getattr(self.before, name) for name in _SHARED}
        for stage, answers in (("before", self.before), ("after", self.after)):
            columns[f"given_{stage}"] = answers.given
            columns[f"margin_{stage}"] = answers.margin.astype(np.float32)
        said = {name: getattr(self, name) for name in ("settings", "kept", "seconds", "search")}
        said |= {name: asdict(getattr(self, name)) for name in ("cell", "ledger", "recovered")}
        table = pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(said).encode()})
        with atomic_path(self.cell.path(root)) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> "CellResult":
        """Reads a cell's file.

        Raises:
            IncompleteRunError: if it is damaged or of another version.
        """
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).partition("\n")[0]
            raise IncompleteRunError(f"{path} is damaged ({reason}); {_REMEDY}") from error
        text = (table.schema.metadata or {}).get(_METADATA, b"").decode("utf-8", errors="replace")
        said = parse_json(text, _Said, where=str(path), remedy=_REMEDY, error=IncompleteRunError)
        columns = {name: _array(table[name], path) for name in table.column_names}
        if columns.keys() != _COLUMNS:
            raise IncompleteRunError(
                f"{path}: expected the columns {', '.join(sorted(_COLUMNS))}, found {', '.join(columns)}; {_REMEDY}"
            )
        said_so = {each.name: getattr(said, each.name) for each in fields(said)}
        return cls(**said_so, before=_answers(columns, "before"), after=_answers(columns, "after"))


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What a cell's file says of its answers."""

    cell: Cell
    settings: dict[str, Any]
    ledger: Ledger
    recovered: Ledger
    kept: tuple[Natural, ...] | None
    seconds: dict[str, NotNegative]
    search: dict[str, NotNegative] | None


def read_results(root: Path) -> list[CellResult]:
    """Every finished cell of a comparison's folder."""
    return [CellResult.load(path) for path in sorted((root / "cells").glob("*/*/*.parquet"))]


def _array(column: pa.ChunkedArray, path: Path) -> NDArray[Any]:
    """A column as its answers have it: texts as such, numbers in double precision."""
    if column.null_count or not (
        pa.types.is_floating(column.type)
        or pa.types.is_integer(column.type)
        or pa.types.is_string(column.type)
    ):
        raise IncompleteRunError(
            f"{path}: expected texts and numbers, found a column of {column.type}; {_REMEDY}"
        )
    values: NDArray[Any] = column.to_numpy()
    if pa.types.is_floating(column.type):
        return values.astype(np.float64)
    return values if pa.types.is_integer(column.type) else values.astype(np.str_)


def _answers(columns: dict[str, Any], stage: str) -> AnswerColumns:
    names = {field.name: field.name for field in fields(AnswerColumns)}
    names |= {name: f"{name}_{stage}" for name in ("given", "margin")}
    return AnswerColumns(**{name: columns[column] for name, column in names.items()})
