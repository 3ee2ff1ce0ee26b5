"""Which column is which: by its own name, or by the option ``columns=``."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePath
from string import ascii_uppercase
from typing import TYPE_CHECKING, TypeGuard

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import name
from hipp_prune.questions.own.table import QuestionTable

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
"""What the names of pictures end with; AVIF is read by Pillow from 11.3 on."""

VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
"""What the names of videos end with, which are refused."""

PICTURES_ONLY = "pictures, of a video a list of some of its frames"
"""What a question may be about."""

FORM = "columns=image:photo+question:q"
"""How the option is written: our name, their name, and a plus between columns."""

_ALIKE: Mapping[str, tuple[str, ...]] = {
    "image": (
        "images",
        "file_name",
        "photo",
        "picture",
        "img",
        "image_path",
        "image_file",
        "filename",
        "file",
        "path",
    ),
    "question": ("q", "prompt", "query", "instruction", "problem", "text"),
    "answer": ("label", "gold", "target", "gt", "ground_truth", "gt_answer", "answers", "solution"),
    "choices": ("options", "choice", "candidates"),
    "id": (),
    "group": (),
    "role": (),
}
"""What others call our columns: offered in a sentence, never taken unasked, but for the one name below."""

COLUMNS = tuple(_ALIKE)
"""Our names."""

_VIDEO = ("video", "videos")
"""What tables call a column of videos, in any capitals."""
_SERIES = r"((?:choice|option|opt|answer)s?[ _-]?|)"
_LETTERED = re.compile(f"{_SERIES}([A-Za-z])", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:choice|option|opt|answer)s?[ _-]?\d+", re.IGNORECASE)
"""Columns with a choice each: choice_a, Option A, b; choice1, option_2."""
_FILE_NAME = "file_name"
"""What metadata of Hugging Face's image folders call the picture."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where the cells of a table stand."""

    names: Mapping[str, str]
    """The table's names by ours; what it has not is absent."""
    letters: tuple[str, ...]
    """Columns A, B, C … that hold a choice each; empty where there are none."""
    videos: tuple[str, ...]
    """Columns that hold a video, which no question may have."""


def match_columns(table: QuestionTable, given: str | None) -> Columns:
    """Finds our columns in a table.

    Names are compared without regard to capitals. A picture, a question or an answer that seems to be there under
    another name is never passed over: the sentence prints the option that names it.

    Args:
        table: the rows.
        given: what ``columns=`` says; None for nothing.

    Raises:
        QuestionError: ``given`` is malformed or names no column, or a column is missing.
    """
    names = {} if given is None else _parse(given, table)
    taken = set(names.values())
    for ours in COLUMNS:
        if ours not in names and (found := _named(ours, table.columns)) and found not in taken:
            names[ours] = found
    if "image" not in names and _FILE_NAME in table.columns and _FILE_NAME not in taken:
        names["image"] = _FILE_NAME
    missing = [
        ours
        for ours in ("image", "question", "answer", "choices")
        if ours not in names and _needed(ours, table, names)
    ]
    if missing:
        raise QuestionError(_told(table, names, missing))
    free = _free(table, names)
    letters = _letters(free)
    if not letters and "choices" not in names:
        _refuse_numbered(table, free)
    return Columns(names=names, letters=letters, videos=tuple(filter(_is_video, free)))


def _parse(given: str, table: QuestionTable) -> dict[str, str]:
    """Reads ``image:photo+question:q``."""
    names: dict[str, str] = {}
    for part in given.split("+"):
        ours, _, theirs = part.partition(":")
        if ours not in COLUMNS or not theirs or ours in names:
            raise QuestionError(
                f"{table.place}: expected columns= to map {', '.join(COLUMNS)}, each once, as in {FORM}, found "
                f"{name(part)}; correct it"
            )
        if theirs in names.values():
            raise QuestionError(
                f"{table.place}: expected every column once in columns=, found {name(theirs)} again; correct it"
            )
        if theirs not in table.columns:
            raise QuestionError(
                f"{table.place}: expected a column {name(theirs)}, as columns= says, found {_listed(table.columns)}; "
                "correct it"
            )
        names[ours] = theirs
    return names


def _named(ours: str, columns: Sequence[str]) -> str | None:
    """The column of that name, whatever its capitals."""
    if ours in columns:
        return ours
    return next((column for column in columns if column.strip().casefold() == ours), None)


def _letters(columns: Sequence[str]) -> tuple[str, ...]:
    """A, B … as far as they go, at least two; or choice_a, choice_b …, or Option A and so on."""
    series: dict[str, dict[str, str]] = {}
    for column in columns:
        if (named := _LETTERED.fullmatch(column.strip())) is not None:
            series.setdefault(named[1].casefold(), {}).setdefault(named[2].upper(), column)
    for found in series.values():
        there = list(takewhile(found.__contains__, ascii_uppercase))
        if len(there) > 1:
            return tuple(found[letter] for letter in there)
    return ()


def _refuse_numbered(table: QuestionTable, columns: Sequence[str]) -> None:
    """Refuses choices in columns that are counted, since the answer 1 could be the first or the second of them.

    Raises:
        QuestionError: saying what to call them.
    """
    found = [column for column in columns if _NUMBERED.fullmatch(column.strip())]
    if len(found) > 1:
        letters = ", ".join(ascii_uppercase[: len(found)])
        raise QuestionError(
            f"{table.place}: expected choices in columns A, B, C …, found {_listed(found)}; rename these to {letters}, "
            "and answer with those letters"
        )


def _needed(ours: str, table: QuestionTable, names: Mapping[str, str]) -> bool:
    """Whether a column that is not there should be: questions always, the others if one looks like them."""
    return ours == "question" or _looking_like(ours, table, names) is not None


def _looking_like(ours: str, table: QuestionTable, names: Mapping[str, str]) -> str | None:
    """The column that may be meant: by its name, and pictures by what stands in the first row."""
    free = [column for column in _free(table, names) if not _is_video(column)]
    for alike in _ALIKE[ours]:
        if found := _named(alike, free):
            return found
    if ours != "image":
        return None
    _, first = next(iter(table.rows), ("", {}))
    return next((column for column in free if _is_picture(first.get(column))), None)


def _free(table: QuestionTable, names: Mapping[str, str]) -> list[str]:
    return [column for column in table.columns if column not in names.values()]


def _is_video(column: str) -> bool:
    return column.strip().casefold() in _VIDEO


def _is_picture(cell: object) -> bool:
    if isinstance(cell, list):
        return bool(cell) and all(map(_is_picture, cell))
    if isinstance(cell, str):
        return PurePath(cell).suffix.lower() in PICTURE_ENDINGS
    if isinstance(cell, Mapping):
        return cell.keys() >= {"bytes", "path"}
    return isinstance(cell, bytes) or in_memory(cell)


def in_memory(cell: object) -> "TypeGuard[Image]":
    """Whether a cell is a picture of PIL's, which is slow to import and therefore only looked for where it is."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(cell, module.Image)


def _told(table: QuestionTable, names: Mapping[str, str], missing: Sequence[str]) -> str:
    """What is missing, what was found, and the very option to add."""
    if any(map(_is_picture, table.columns)):
        return (
            f"{table.place}: expected a first line with the names of the columns, found a question; write "
            "image,question,answer above it"
        )
    mapped = _renamed(names)
    free = _free(table, names)
    unasked = [] if "answer" in {*names, *missing} else ["answer"]  # in the only other column, it may be
    for ours in (*missing, *unasked):
        guess = _looking_like(ours, table, names) or next(iter(free), None)
        if guess is not None:
            mapped[ours] = guess
            free = [column for column in free if column != guess]
    remedy = f"say which is which: {with_columns(table, mapped)}" if mapped else "add it"
    wanted = f"a column {missing[0]}" if len(missing) == 1 else f"columns {' and '.join(missing)}"
    return f"{table.place}: expected {wanted}, found {_listed(table.columns)}; {remedy}"


def with_columns(table: QuestionTable, names: Mapping[str, str]) -> str:
    """What to give instead of the table's place, so that its columns are named; in quotes where a shell needs them.

    Args:
        table: the rows.
        names: the table's names by ours.
    """
    option = "+".join(f"{ours}:{theirs}" for ours, theirs in _renamed(names).items())
    return shlex.quote(f"{table.place},columns={option}")


def _renamed(names: Mapping[str, str]) -> dict[str, str]:
    """The columns that are not found by their own name."""
    return {ours: theirs for ours, theirs in names.items() if ours != theirs.casefold() != _FILE_NAME}


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(map(name, columns[:12]))
    return f"{shown}, …" if len(columns) > 12 else shown or "no column"
