"""A table: rows of named cells, read from CSV or JSON."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import name
from hipp_prune.files.reading import LARGEST, read_text
from hipp_prune.questions.records import CORRECT_OR_SKIP, OR_SKIP, SkipBad, read_records, skip_or_raise

SEPARATOR = "|"
"""What stands between several things in one cell."""
_SPLIT = {"columns", "index", "data"}
"""The keys of a table that pandas writes with ``orient="split"``."""
_AS_JSON = "save it as JSON lines in UTF-8"
TAB = "\t"
"""What stands between the cells of a file that ends in .tsv."""
_SEPARATOR_LINE = re.compile("sep=(.)", re.IGNORECASE)
"""What Excel begins a file with to say what separates its cells."""

Cells = Mapping[str, Any]
"""A row: cells by the names of their columns; text, numbers, truth values, lists, bytes, None."""


@dataclass(frozen=True, kw_only=True)
class QuestionTable:
    """Rows of questions, wherever they come from."""

    place: str
    """What the user named, for sentences."""
    name: str
    """What the ids of its questions begin with, and the part they are counted under."""
    columns: tuple[str, ...]
    rows: Iterable[tuple[str, Cells]]
    """Where each row stands, and its cells; may be gone through again."""
    home: Path | None
    """The folder that paths of pictures start from; None where there is none."""


def read_csv(path: Path, skip_bad: SkipBad | None = None) -> QuestionTable:
    """A file of comma-, semicolon- or tab-separated values, whose first line names the columns.

    Semicolons separate where the first line has some and no comma, as spreadsheets write it in many countries.

    Raises:
        QuestionError: it is missing, not UTF-8, empty, separated otherwise, names a column twice, or a row has more or
            fewer cells than there are columns (skippable).
    """
    remedy = "check the path, and save it as UTF-8 text (in Excel: CSV UTF-8)"
    text = read_text(path, remedy=remedy, error=QuestionError)
    _refuse_nul(path, text, remedy="save it as CSV in UTF-8")
    lines = _csv_lines(path, text)
    _, columns = next(lines, (1, []))
    columns = [column.strip() for column in columns]
    if not any(columns):
        raise QuestionError(
            f"{path}: expected a first line with the names of the columns, found none; add it"
        )
    if len(columns) == 1 and (other := next((sign for sign in TAB + SEPARATOR if sign in columns[0]), None)):
        raise QuestionError(
            f"{path}: expected columns between commas or semicolons (tabs in .tsv), found {other!r} between them; "
            f"{'call it ' + path.with_suffix('.tsv').name if other == TAB else 'save it with commas'}"
        )
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise QuestionError(
            f"{path}: expected every column once, found {name(twice)} again; rename one of them"
        )
    rows: list[tuple[str, Cells]] = []
    for line, cells in lines:
        where = f"{path}:{line}"
        if len(cells) == len(columns):
            rows.append((where, dict(zip(columns, cells, strict=True))))
        else:
            wrong = f"{where}: expected {len(columns)} cells, one a column, found {len(cells)}"
            skip_or_raise(
                QuestionError(f"{wrong}; put cells that hold a separator in quotes, {OR_SKIP}"),
                skip_bad,
            )
    return QuestionTable(
        place=str(path), name=path.stem, columns=tuple(columns), rows=rows, home=path.absolute().parent
    )


def _csv_lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not blank, after the line on which it begins."""
    head, _, below = text.partition("\n")
    told, skipped = _SEPARATOR_LINE.fullmatch(head.strip()), 0
    if told is not None:  # Excel's own first line
        text, skipped = below, 1
        delimiter = told[1]
    else:
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in head and "," not in head else ","
    before = csv.field_size_limit(LARGEST)
    reader, line = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True), 1 + skipped
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise QuestionError(
            f"{path}:{line}: expected comma-separated values, found an error: {error}; correct it (what follows "
            "cannot be skipped)"
        ) from error
    finally:
        csv.field_size_limit(before)


def read_json(path: Path, skip_bad: SkipBad | None = None) -> QuestionTable:
    """A file of JSON lines or of one JSON array, an object a row.

    Raises:
        QuestionError: see ``read_records``; or all rows are one object, by column, or under one of its names.
    """
    text = read_text(path, remedy=f"check the path, and {_AS_JSON}", error=QuestionError)
    _refuse_nul(path, text, remedy=_AS_JSON)
    _refuse_one_object(path, text)
    rows: list[tuple[str, Cells]] = list(
        read_records(path, dict[str, Any], skip_bad, whole="correct it, or write it again")
    )
    _refuse_wrapped(path, rows)
    columns = tuple(dict.fromkeys(column for _, cells in rows for column in cells))
    return QuestionTable(
        place=str(path), name=path.stem, columns=columns, rows=rows, home=path.absolute().parent
    )


def _refuse_nul(path: Path, text: str, *, remedy: str) -> None:
    """Refuses text of two bytes a character, without the mark in front that would tell it.

    Args:
        path: the file.
        text: what it holds, read as UTF-8.
        remedy: the end of the sentence.

    Raises:
        QuestionError: it has NUL bytes in its first line.
    """
    if "\0" in text.partition("\n")[0]:
        raise QuestionError(
            f"{path}: expected UTF-8 text, found NUL bytes, as UTF-16 and spreadsheets' own files have them; {remedy}"
        )


def _refuse_one_object(path: Path, text: str) -> None:
    """Refuses a file that is one JSON object of whole columns, as pandas writes it unasked, or over several lines.

    Raises:
        QuestionError: saying how to write it.
    """
    if not text.lstrip().startswith("{"):
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # several lines, an object each, or what read_records tells better
        return
    if found and (all(isinstance(cell, Mapping) for cell in found.values()) or found.keys() == _SPLIT):
        raise QuestionError(
            f"{path}: expected JSON lines or an array, an object a row, found one object of {_named(found)}, as "
            f'pandas\' to_json writes a whole table; write it with to_json(path, orient="records")'
        )
    if "\n" in text.strip():
        _refuse_wrapped(path, [(str(path), found)])
        raise QuestionError(
            f"{path}: expected JSON lines or an array, an object a row, found one object over several lines; put "
            "square brackets around it, or each object on a line of its own"
        )


def _named(found: Mapping[str, Any]) -> str:
    """The first keys of an object."""
    return ", ".join(map(name, list(found)[:3])) + (", …" if len(found) > 3 else "")


def _refuse_wrapped(path: Path, rows: Sequence[tuple[str, Cells]]) -> None:
    """Refuses a file whose rows are a field of one object.

    Raises:
        QuestionError: naming that field.
    """
    if len(rows) != 1:
        return
    ((_, cells),) = rows
    found = [
        key
        for key, cell in cells.items()
        if isinstance(cell, list) and len(cell) > 1 and isinstance(cell[0], Mapping)
    ]
    if len(found) == 1 and "question" not in cells and not {"role", "from"} & cells[found[0]][0].keys():
        raise QuestionError(
            f"{path}: expected a list of rows, found one object that holds it; save what stands under "
            f"{name(found[0])} alone"
        )


def empty(cell: object) -> bool:
    """Whether a cell holds nothing: no value, blank text, or the number that is none."""
    return cell is None or (isinstance(cell, str) and not cell.strip()) or cell != cell


def row_error(where: str, expected: str, found: str) -> QuestionError:
    """What is wrong with a row, as all of these sentences are made."""
    return QuestionError(f"{where}: expected {expected}, found {found}; {CORRECT_OR_SKIP}")
