"""What files and users say, checked against declared types before anything is done with it.

A kind is a frozen dataclass (or any other type pydantic knows) whose annotations say type, range and length. Checks
are strict: ``true`` is no number, ``"3"`` and ``3.0`` are no integers, and a key that is not declared is refused.
Whatever is wrong, from a byte that is no UTF-8 to a count below its range, becomes one sentence here and nowhere else.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from hipp_prune.errors import HippPruneError, InputError
from hipp_prune.files.faults import describe, describe_setting, name

if TYPE_CHECKING:
    from pydantic import BaseModel, TypeAdapter

Kind = TypeVar("Kind")

_MOST_DIGITS = 300
"""Of an integer: more are no float either."""


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
    value = sound_json(text, where=where, remedy=remedy, error=error, finite=not foreign)
    import pydantic

    try:
        return _adapter(kind).validate_json(text, strict=True, extra="ignore" if foreign else "forbid")
    except pydantic.ValidationError as wrong:
        raise error(f"{where}: {describe(wrong, value)}; {remedy}") from wrong


def check_value(
    value: object,
    kind: type[Kind],
    *,
    where: str,
    remedy: str,
    error: type[HippPruneError],
    foreign: bool = False,
) -> Kind:
    """What a value that was read from JSON says, as ``kind``; see :func:`parse_json`.

    Args:
        value: what was read.
        kind: what it must be.
        where: what the sentence calls it.
        remedy: what the user can do.
        error: class of the error.
        foreign: whether others define the format.

    Raises:
        HippPruneError: ``error``, if it is no ``kind``.
    """
    return parse_json(json.dumps(value), kind, where=where, remedy=remedy, error=error, foreign=foreign)


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
        sentence = describe_setting(wrong, given)
        raise InputError(f"{sentence}; {_correction(wrong.errors(include_url=False)[0])}") from wrong


def _correction(first: Mapping[str, Any]) -> str:
    """What to do about a setting; whoever gives a share in percent is told it as a share."""
    value = first["input"]
    percent = first.get("ctx") in ({"le": 1.0}, {"lt": 1.0}) and 1 < value <= 100
    return f"did you mean {value / 100:g}?" if percent else "correct it"


def sound_json(
    text: str, *, where: str, remedy: str, error: type[HippPruneError], finite: bool = True
) -> Any:
    """What a JSON text says, of whatever type; JSON that readers understand differently is refused.

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
        return json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=number, parse_constant=constant
        )
    except RecursionError as deep:
        raise error(f"{where}: expected JSON, found values nested too deeply; {remedy}") from deep
    except json.JSONDecodeError as cut:
        place = f"line {cut.lineno}, column {cut.colno}" if "\n" in text else f"column {cut.colno}"
        raise error(f"{where}: expected JSON, found an error at {place}: {cut.msg}; {remedy}") from cut
    except _UnsoundError as unsound:
        raise error(f"{where}: expected JSON, found {unsound}; {remedy}") from unsound


class _UnsoundError(Exception):
    """JSON by its grammar, but no two readers need agree on it."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise _UnsoundError(f"the key {name(twice)} twice in one object")
    return content


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise _UnsoundError(f"an integer of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _UnsoundError(f"a number that is not finite, {text[:40]}")
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
        field: (hint, ...) for field, hint in get_type_hints(settings, include_extras=True).items()
    }
    config = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    return create_model(settings.__name__, __config__=config, **declared)
