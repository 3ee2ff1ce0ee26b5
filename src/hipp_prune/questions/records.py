"""Records of benchmark files: where each one stood, checked against what it must be, the bad ones counted."""

import json
import logging
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Len, MaxLen, Predicate

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.files.reading import read_document, read_text
from hipp_prune.files.strict import parse_json

Kind = TypeVar("Kind")

OR_SKIP = "or skip it with --skip-bad, where the command has that"
"""What can be done about a bad record or picture, besides mending it."""
CORRECT_OR_SKIP = f"correct it {OR_SKIP}"
"""What the sentence about a bad record ends with."""

_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_WHITESPACE = re.compile(r"[ \t\r\n]*")


class SkipBad:
    """Counts what was left out and why, where a caller prefers fewer questions to an error.

    Loaders take ``skip_bad: SkipBad | None``: with ``None`` the first bad record is an error, with an
    instance it is counted here and left out, and the caller reports :meth:`summary`.
    """

    def __init__(self) -> None:
        self.reasons: list[str] = []
        """One sentence for each thing left out, in the order it was met."""

    @property
    def count(self) -> int:
        """How many records or questions were left out."""
        return len(self.reasons)

    def summary(self, examples: int = 3) -> str:
        """One line for the report: how many were left out, and why the first few were."""
        if not self.reasons:
            return "nothing left out"
        more = f"; and {self.count - examples} more" if self.count > examples else ""
        return f"left out {self.count}: {'; '.join(self.reasons[:examples])}{more}"


def skip_or_raise(error: InputError, skip_bad: SkipBad | None) -> None:
    """Count ``error`` in ``skip_bad``; without one, raise it."""
    if skip_bad is None:
        raise error
    skip_bad.reasons.append(str(error))


@cache
def warn(sentence: str) -> None:
    """Tells our logger something about questions, once: every stage reads them again."""
    logging.getLogger("hipp_prune").warning("warning: %s", sentence)


def on_one_line(text: str) -> bool:
    """Whether a text has no line break and no other control character."""
    return _CONTROL.search(text) is None


LONGEST_NAME = 255
"""Characters of a name or an id, at most."""
Name = Annotated[str, MaxLen(LONGEST_NAME), Predicate(on_one_line)]
"""At most 255 characters on one line: an id, the name of a picture or of a part; sentences and tables show it."""
Identifier = Annotated[str, Len(1, LONGEST_NAME), Predicate(on_one_line)] | int
"""An id as files of benchmarks have them."""


def read_records(
    path: Path,
    kind: type[Kind],
    skip_bad: SkipBad | None = None,
    *,
    remedy: str = CORRECT_OR_SKIP,
    whole: str = "restore the official file",
) -> Iterator[tuple[str, Kind]]:
    """Every record of a file of JSON lines or of one JSON array, told apart by the first character, after its place.

    Official POPE files of both kinds are called ``.json``, so the name does not tell.

    Args:
        path: the file.
        kind: what each record must be; keys that it does not declare are passed over.
        skip_bad: counts records that are none and leaves them out; None makes them errors.
        remedy: what to do about a bad record; another where none is ever left out.
        whole: what to do about a bad file, of an array that ends or begins wrongly.

    Yields:
        ``{file}:{line}``, where the record begins, and the record.

    Raises:
        QuestionError: the file is missing, not UTF-8 or empty, a line or element is no such record (skippable), or
            the array itself is malformed (not skippable: what follows is lost).
    """
    text = read_text(path, remedy="check the path and give the official file", error=QuestionError)
    if not text.strip():
        raise QuestionError(f"{path}: expected JSON lines or a JSON array, found an empty file; restore it")
    values = _array_values(path, text, whole) if text.lstrip()[0] == "[" else _line_values(text)
    for line, value in values:
        where = f"{path}:{line}"
        try:
            record = parse_json(value, kind, where=where, remedy=remedy, error=QuestionError, foreign=True)
        except QuestionError as error:
            skip_or_raise(error, skip_bad)
            continue
        yield where, record


def read_object(path: Path) -> dict[str, Any]:
    """The one JSON object a file holds.

    Raises:
        QuestionError: the file is missing, not UTF-8, not JSON, or holds something else.
    """
    remedy = "give the official file"
    return read_document(path, dict[str, Any], remedy=remedy, error=QuestionError, foreign=True)


def _line_values(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _array_values(path: Path, text: str, remedy: str) -> Iterator[tuple[int, str]]:
    """Decode element by element, because only so is each one's line known."""
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    position = _skip_whitespace(text, text.index("[") + 1)
    closed = text.startswith("]", position)
    try:
        while not closed:
            line, counted = line + text.count("\n", counted, position), position
            _, end = decoder.raw_decode(text, position)
            yield line, text[position:end]
            position = _skip_whitespace(text, end)
            closed = text.startswith("]", position)
            if not closed:
                if not text.startswith(",", position):
                    raise json.JSONDecodeError("Expecting ',' or ']' after an element", text, position)
                position = _skip_whitespace(text, position + 1)
        if text[position + 1 :].strip():
            raise json.JSONDecodeError("Extra data after the array", text, position)
    except json.JSONDecodeError as error:
        raise _broken_array(path, error.lineno, error.msg, remedy) from error
    except (RecursionError, ValueError) as error:
        wrong = "an element nested too deeply, or a number too long"
        raise _broken_array(path, line, wrong, remedy) from error


def _broken_array(path: Path, line: int, what: str, remedy: str) -> QuestionError:
    return QuestionError(
        f"{path}:{line}: expected a JSON array, found an error: {what}; {remedy} (what follows it cannot be skipped)"
    )


def _skip_whitespace(text: str, position: int) -> int:
    match = _WHITESPACE.match(text, position)
    assert match is not None, "the pattern matches the empty string"
    return match.end()
