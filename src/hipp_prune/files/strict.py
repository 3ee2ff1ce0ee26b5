"""What files and users say, checked against declared types before anything is done with it.

A kind is a frozen dataclass (or any other type pydantic knows) whose annotations say type, range and length. Checks
are strict: ``true`` is no number, ``"3"`` and ``3.0`` are no integers, and a key that is not declared is refused.
Whatever is wrong, from a byte that is no UTF-8 to a count below its range, becomes one sentence here and nowhere else.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from hipp_prune.errors import HippPruneError, InputError

if TYPE_CHECKING:
    from pydantic import BaseModel, TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

Kind = TypeVar("Kind")

_MOST_DIGITS = 300
"""Of an integer: more are no float either."""
_LONGEST = 60
"""Characters of a wrong value that a sentence shows."""
_PLAIN_NAME = re.compile(r"[\w .:/-]{1,60}")

_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "dataclass_type": "an object",
    "none_required": "null",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "a string of at least {min_length} characters",
    "string_too_long": "a string of at most {max_length} characters",
}
"""What a field should have been, by pydantic's name of the error; any other is told in pydantic's words."""


def parse_json(
    text: str,
    kind: type[Kind],
    *,
    where: str,
    remedy: str,
    error: type[HippPruneError],
    foreign: bool = False,
) -> Kind:
    """What a JSON text says, as ``kind``.

    Args:
        text: one JSON value.
        kind: what it must be.
        where: what the sentence calls the text: a file, or a file and a line.
        remedy: what the user can do, the end of the sentence.
        error: class of the error.
        foreign: whether others define the format; their files may hold keys that ``kind`` does not declare, and
            numbers that are not finite in them.

    Raises:
        HippPruneError: ``error``, if it is not JSON, names a key twice, is nested too deeply, holds a number that is
            not finite, or is no ``kind``.
    """
    check_sound(text, where=where, remedy=remedy, error=error, finite=not foreign)
    import pydantic

    try:
        return _adapter(kind).validate_json(text, strict=True, extra="ignore" if foreign else "forbid")
    except pydantic.ValidationError as wrong:
        raise error(f"{where}: {_fault(wrong)}; {remedy}") from wrong


def check_value(
    value: object,
    kind: type[Kind],
    *,
    where: str,
    remedy: str,
    error: type[HippPruneError],
    foreign: bool = False,
) -> Kind:
    """What a Python value says, as ``kind``; for values that were read by other means than :func:`parse_json`.

    Args:
        value: what was read; lists are no tuples here.
        kind: what it must be.
        where: what the sentence calls it.
        remedy: what the user can do.
        error: class of the error.
        foreign: see :func:`parse_json`.

    Raises:
        HippPruneError: ``error``, if it is no ``kind``.
    """
    import pydantic

    try:
        return _adapter(kind).validate_python(value, strict=True, extra="ignore" if foreign else "forbid")
    except pydantic.ValidationError as wrong:
        raise error(f"{where}: {_fault(wrong)}; {remedy}") from wrong


def check_settings(settings: object) -> None:
    """Refuses settings of another type, or outside the range, than their class declares; for ``__post_init__``.

    Settings that are all at their defaults pass unchecked, so that listing the flags does not wait for pydantic.

    Args:
        settings: a dataclass whose annotations hold types and ranges (``files.ranges``).

    Raises:
        InputError: naming the flag.
    """
    assert is_dataclass(settings)
    assert not isinstance(settings, type)
    given = {field.name: getattr(settings, field.name) for field in fields(settings)}
    if all(given[field.name] is field.default for field in fields(settings)):
        return
    import pydantic

    try:
        _settings_model(type(settings)).model_validate(given)
    except pydantic.ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        flag = "--" + _path(first["loc"]).replace("_", "-")
        raise InputError(
            f"expected {flag} to be {_expected(first)}, found {_shown(first['input'])}; correct it"
        ) from wrong


def check_sound(
    text: str, *, where: str, remedy: str, error: type[HippPruneError], finite: bool = True
) -> None:
    """Refuses a text that is not JSON, or is JSON that readers understand differently.

    Args:
        text: one JSON value.
        where: what the sentence calls the text.
        remedy: what the user can do.
        error: class of the error.
        finite: whether NaN, Infinity and numbers beyond a float are refused too.

    Raises:
        HippPruneError: ``error``; also for a key that stands twice in one object, and for endless nesting.
    """
    number, constant = (_finite, _not_finite) if finite else (float, float)
    try:
        json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=number, parse_constant=constant
        )
    except RecursionError as deep:
        raise error(f"{where}: expected JSON, found values nested too deeply; {remedy}") from deep
    except json.JSONDecodeError as cut:
        place = f"line {cut.lineno}, column {cut.colno}"
        raise error(f"{where}: expected JSON, found an error at {place}: {cut.msg}; {remedy}") from cut
    except _UnsoundError as unsound:
        raise error(f"{where}: expected JSON, found {unsound}; {remedy}") from unsound


class _UnsoundError(Exception):
    """JSON by its grammar, but no two readers need agree on it."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise _UnsoundError(f"the key {_name(twice)} twice in one object")
    return content


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise _UnsoundError(f"an integer of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _UnsoundError(f"a number that is not finite, {text[:_LONGEST]}")
    return number


def _not_finite(text: str) -> float:
    raise _UnsoundError(f"a number that is not finite, {text}")


def _adapter(kind: type[Kind]) -> "TypeAdapter[Kind]":
    hashable: Any = kind
    return _cached_adapter(hashable)


@cache
def _cached_adapter(kind: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


@cache
def _settings_model(settings: type) -> "type[BaseModel]":
    """Checks the fields of a settings class without making one, which would check them without end."""
    from pydantic import ConfigDict, create_model

    declared: dict[str, Any] = {
        name: (hint, ...) for name, hint in get_type_hints(settings, include_extras=True).items()
    }
    config = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    return create_model(settings.__name__, __config__=config, **declared)


def _fault(wrong: "ValidationError") -> str:
    """The first thing that is wrong: what was expected, what was found where."""
    first = wrong.errors(include_url=False)[0]
    location, found = first["loc"], first["input"]
    match first["type"]:
        case "json_invalid":
            return f"expected JSON, found an error: {first['ctx']['error']}"
        case "missing" if isinstance(location[-1], int):
            return f"expected an element '{_path(location)}', found {_shown(found)}"
        case "missing":
            names = ", ".join(map(_name, found)) if isinstance(found, Mapping) else ""
            return f"expected a field '{_path(location)}', found {_cut(names) or 'no field at all'}"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"expected no field '{_path(location)}', found it to be {_shown(found)}"
        case "value_error":
            place = f", in field '{_path(location)}'" if location else ""
            return f"{first['ctx']['error']}{place}"
    field = f"field '{_path(location)}' to be " if location else ""
    return f"expected {field}{_expected(first)}, found {_shown(found)}"


def _expected(first: "ErrorDetails") -> str:
    told = _EXPECTED.get(first["type"])
    if told is None:
        return first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return told.format(**{name: _number(limit) for name, limit in first.get("ctx", {}).items()})


def _number(limit: object) -> object:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _path(location: Sequence[str | int]) -> str:
    """A place in nested objects and lists, e.g. ``costs.flops.units[3][0]``."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{_name(step)}" if path else _name(step)
    return path


def _name(key: object) -> str:
    text = str(key)
    return text if _PLAIN_NAME.fullmatch(text) else _cut(repr(text[: 2 * _LONGEST]))


def _shown(value: object) -> str:
    """A wrong value, or what can be told of one that is long."""
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return _cut(repr(value[: 2 * _LONGEST]))
    return _cut(repr(value)) if not isinstance(value, int) or abs(value) < 10**_LONGEST else "a huge integer"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "…"
