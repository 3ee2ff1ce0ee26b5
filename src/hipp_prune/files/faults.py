"""What pydantic says is wrong, as one clause: what was expected where, and what was found."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_LONGEST = 60
"""Characters of a wrong value that a sentence shows."""
_LONGEST_PATH = 1024
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
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
    "string_too_short": "a string that is not empty",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "string_too_long": "a string of at most {max_length} characters",
}
"""What a field should have been, by pydantic's name of the error; any other is told in pydantic's words."""


def describe(wrong: "ValidationError", value: object) -> str:
    """The first thing that is wrong.

    Args:
        wrong: pydantic's findings.
        value: what was checked, as read.
    """
    first, expected = _first(wrong, value)
    place, found = path(_place(first, value)), first["input"]
    match first["type"]:
        case "json_invalid":
            return f"expected JSON, found an error: {first['ctx']['error']}"
        case "missing" if place.endswith("]"):
            return f"expected an element '{place}', found {shown(found)}"
        case "missing":
            names = ", ".join(map(name, found)) if isinstance(found, Mapping) else ""
            return f"expected a field '{place}', found {_cut(names) or 'no field at all'}"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"expected no field '{place}', found it to be {shown(found)}"
        case "value_error":
            return f"{first['ctx']['error']}" + (f", in field '{place}'" if place else "")
    field = f"field '{place}' to be " if place else ""
    return f"expected {field}{expected}, found {shown(found)}"


def describe_setting(wrong: "ValidationError", settings: Mapping[str, object]) -> str:
    """The first setting that is wrong, as its flag."""
    first, expected = _first(wrong, settings)
    flag = "--" + path(_place(first, settings)).replace("_", "-")
    return f"expected {flag} to be {expected}, found {shown(first['input'])}"


def _first(wrong: "ValidationError", value: object) -> "tuple[ErrorDetails, str]":
    """The first error, and what was expected there; of the members of a union the one that came furthest."""
    errors = wrong.errors(include_url=False)
    places = [tuple(_place(error, value)) for error in errors]
    begun = [index for index, place in enumerate(places) if place[: len(places[0])] == places[0]]
    furthest = max(begun, key=lambda index: len(places[index]))
    alike = [errors[index] for index in begun if places[index] == places[furthest]]
    return alike[0], " or ".join(dict.fromkeys(map(_expected, alike)))


def _place(error: "ErrorDetails", value: object) -> list[str | int]:
    """Where an error lies in what was read: pydantic's location without its names for the members of a union."""
    place: list[str | int] = []
    for step in error["loc"]:
        if isinstance(value, Mapping):
            inside = step in value
        else:
            inside = isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
        if inside:
            value = value[step]  # type: ignore[index]
            place.append(step)
    absent = error["type"] == "missing"
    return [*place, error["loc"][-1]] if absent else place


def _expected(error: "ErrorDetails") -> str:
    if error["type"] == "predicate_failed":  # told by its name
        return error["msg"].removeprefix("Predicate '").removesuffix("' failed").replace("_", " ")
    told = _EXPECTED.get(error["type"])
    if told is None:
        return error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return told.format(**{limit: _number(value) for limit, value in error.get("ctx", {}).items()})


def _number(limit: object) -> object:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def path(place: Sequence[str | int]) -> str:
    """A place in nested objects and lists, e.g. ``costs.flops.units[3][0]``."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{name(step)}" if text else name(step)
    return text


def name(key: object) -> str:
    """A key as a sentence shows it."""
    text = str(key)
    return text if _PLAIN_NAME.fullmatch(text) else _cut(repr(text[: 2 * _LONGEST]))


def shown(value: object) -> str:
    """A wrong value, or what can be told of one that is long."""
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return _cut(repr(value[: 2 * _LONGEST]))
    if isinstance(value, int) and abs(value) >= 10**_LONGEST:
        return "a huge integer"
    return _cut(repr(value))


def shown_place(path: Path) -> str:
    """A path as a sentence names it: one that no file can have is cut, and on one line."""
    text = str(path)
    return text if text.isprintable() and len(text) <= _LONGEST_PATH else shown(text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "…"
