"""Records of benchmark files: where each one stood, its fields checked, the bad ones counted."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hipp_prune.errors import InputError, QuestionError

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


@dataclass(frozen=True)
class Record:
    """One JSON object of a benchmark file; its accessors raise QuestionError naming place and field."""

    fields: dict[str, object]
    """The object as parsed."""
    where: str
    """What an error calls it: ``{file}:{line}``, or the file and the key it stands under."""

    def get(self, name: str) -> object:
        """The field's value, of any type."""
        if name not in self.fields:
            found = ", ".join(self.fields) or "no field at all"
            raise QuestionError(
                f"{self.where}: expected a field '{name}', found {found}; add it or skip bad records"
            )
        return self.fields[name]

    def text(self, name: str) -> str:
        """A string, possibly empty."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a string", value)
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, or None where the file says null or the empty string."""
        return None if self.get(name) is None else self.text(name) or None

    def texts(self, name: str) -> list[str]:
        """A list of strings."""
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of strings", value)
        return value

    def integer(self, name: str) -> int:
        """An integer (``true`` and ``1.0`` are none)."""
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer", value)
        return value

    def identifier(self, name: str) -> str:
        """A non-empty string or an integer, as a string: both are found as ids."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
            raise self._wrong(name, "a string or an integer", value)
        return str(value)

    def _wrong(self, name: str, expected: str, value: object) -> QuestionError:
        found = repr(value)
        found = found if len(found) <= 60 else found[:57] + "…"
        return QuestionError(
            f"{self.where}: expected field '{name}' to be {expected}, found {found}; "
            "correct it or skip bad records"
        )


def read_records(path: Path, skip_bad: SkipBad | None = None) -> Iterator[Record]:
    """Every record of a file of JSON lines or of one JSON array, told apart by the first character.

    Official POPE files of both kinds are called ``.json``, so the name does not tell.

    Raises:
        QuestionError: the file is missing, not UTF-8 or empty, a line or element is not a JSON object
            (skippable), or the array itself is malformed (not skippable: what follows is lost).
    """
    text = _read_text(path)
    if not text.strip():
        raise QuestionError(f"{path}: expected JSON lines or a JSON array, found an empty file; restore it")
    values = _array_values(path, text) if text.lstrip()[0] == "[" else _line_values(path, text, skip_bad)
    for line, value in values:
        if isinstance(value, dict):
            yield Record(value, f"{path}:{line}")
        else:
            error = QuestionError(
                f"{path}:{line}: expected a JSON object, found {type(value).__name__}; "
                "correct it or skip bad records"
            )
            skip_or_raise(error, skip_bad)


def read_object(path: Path) -> dict[str, object]:
    """The one JSON object a file holds.

    Raises:
        QuestionError: the file is missing, not UTF-8, not JSON, or holds something else.
    """
    try:
        value = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise QuestionError(
            f"{path}:{error.lineno}: expected JSON, found an error: {error.msg}; restore the official file"
        ) from error
    if not isinstance(value, dict):
        raise QuestionError(
            f"{path}: expected a JSON object, found {type(value).__name__}; give the official file"
        )
    return value


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuestionError(
            f"{path}: expected UTF-8 text, found byte {error.start} that is none; give the official file"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise QuestionError(f"{path}: expected a readable file, found: {reason}; check the path") from error


def _line_values(path: Path, text: str, skip_bad: SkipBad | None) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as cause:
            error = QuestionError(
                f"{path}:{number}: expected one JSON object a line, found {line.strip()[:40]!r} "
                f"({cause}); correct it or skip bad records"
            )
            skip_or_raise(error, skip_bad)
            continue
        yield number, value


def _array_values(path: Path, text: str) -> Iterator[tuple[int, object]]:
    """Decode element by element, because only so is each one's line known."""
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    position = _skip_whitespace(text, text.index("[") + 1)
    closed = text.startswith("]", position)
    try:
        while not closed:
            line, counted = line + text.count("\n", counted, position), position
            value, end = decoder.raw_decode(text, position)
            yield line, value
            position = _skip_whitespace(text, end)
            closed = text.startswith("]", position)
            if not closed:
                if not text.startswith(",", position):
                    raise json.JSONDecodeError("Expecting ',' or ']' after an element", text, position)
                position = _skip_whitespace(text, position + 1)
        if text[position + 1 :].strip():
            raise json.JSONDecodeError("Extra data after the array", text, position)
    except json.JSONDecodeError as error:
        raise QuestionError(
            f"{path}:{error.lineno}: expected a JSON array, found an error: {error.msg}; "
            "restore the official file (what follows it cannot be skipped)"
        ) from error


def _skip_whitespace(text: str, position: int) -> int:
    match = _WHITESPACE.match(text, position)
    assert match is not None, "the pattern matches the empty string"
    return match.end()
