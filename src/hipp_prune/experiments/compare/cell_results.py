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
_SHARED = {
    "id": pa.string(),
    "benchmark": pa.string(),
    "subset": pa.string(),
    "group": pa.int64(),
    "options": pa.int64(),
    "gold": pa.string(),
}
_OWN = {"given": pa.string(), "margin": pa.float32()}
_STAGES = ("before", "after")
_SCHEMA = pa.schema(
    {**_SHARED, **{f"{name}_{stage}": kind for stage in _STAGES for name, kind in _OWN.items()}}
)
"""The columns of a cell's file."""

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
        for stage in _STAGES:
            columns |= {f"{name}_{stage}": getattr(getattr(self, stage), name) for name in _OWN}
        said = {name: getattr(self, name) for name in ("settings", "kept", "seconds", "search")}
        said |= {name: asdict(getattr(self, name)) for name in ("cell", "ledger", "recovered")}
        table = pa.table(columns, schema=_SCHEMA).replace_schema_metadata(
            {_METADATA: json.dumps(said).encode()}
        )
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
        columns = _columns(table, path)
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


def _columns(table: pa.Table, path: Path) -> dict[str, NDArray[Any]]:
    """The columns as answers have them: texts as such, numbers in double precision; none missing, none not finite."""
    if not table.schema.equals(_SCHEMA):
        raise IncompleteRunError(
            f"{path}: expected the columns {_told(_SCHEMA)}, found {_told(table.schema)}; {_REMEDY}"
        )
    columns: dict[str, NDArray[Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        values: NDArray[Any] = column.to_numpy()
        if column.null_count or (column.type == pa.float32() and not np.isfinite(values).all()):
            raise IncompleteRunError(f"{path}: expected a value in every row of column {name}; {_REMEDY}")
        wanted = {pa.string(): np.str_, pa.int64(): np.int64, pa.float32(): np.float64}[column.type]
        columns[name] = values.astype(wanted)
    return columns


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _answers(columns: dict[str, Any], stage: str) -> AnswerColumns:
    names = {field.name: field.name for field in fields(AnswerColumns)}
    names |= {name: f"{name}_{stage}" for name in _OWN}
    return AnswerColumns(**{name: columns[column] for name, column in names.items()})
