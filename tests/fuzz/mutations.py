"""What can become of a file: bytes lost or changed, and JSON values of other types, ranges and depths."""

import json
import random
from copy import deepcopy
from typing import Any

_DEEP = "a placeholder of endless nesting"
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 10**9, -(10**9), 2**53, 10**30, -(10**30), 10**400, 0.0, -0.5, 1.0, 2.5, 1e300,
    -1e300, 5e-324, float("nan"), float("inf"), -float("inf"), "", "3", "Yes", "-1", "x" * 1000, "\x00", "\ud800",
    "λ\U0001f600", "../../x", "/", ".", [], {}, [[]], [None], [1, 2, 3], {"": None}, {"x": {"x": {}}}, _DEEP,
)  # fmt: skip
"""What a value may turn into."""


def mutate(content: bytes, rng: random.Random, *, lines: bool = False) -> bytes:
    """One to three changes to a file.

    Args:
        content: a valid file, of JSON or a table of text.
        rng: source of randomness.
        lines: whether it holds one JSON value a line.
    """
    if rng.random() < 0.25 or not content.startswith((b"[", b"{")):
        return _mutate_bytes(content, rng)
    if not lines:
        return _mutate_json(content, rng)
    rows = content.split(b"\n")
    index = rng.choice([index for index, row in enumerate(rows) if row])
    if rng.random() < 0.1:
        rows[index:index] = [rng.choice(rows)]
    else:
        rows[index] = _mutate_json(rows[index], rng)
    return b"\n".join(rows)


def _mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 1, 2, 8, 64)))
        match rng.randrange(7):
            case 0:
                data[start:end] = bytes(rng.randrange(256) for _ in range(end - start))
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = rng.choice(
                    (b"\xff", b"\xef\xbb\xbf", b"\x00", b"\xed\xa0\x80", b"\r", b"0", b"-")
                )
            case 3:
                del data[start:]
            case 4:
                data[start:start] = data[start:end]
            case 5:
                data[:0] = rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b" ", b"[", b"\x1f\x8b"))
            case _ if start < len(data):
                data[start] ^= 1 << rng.randrange(8)
    return bytes(data)


def _mutate_json(content: bytes, rng: random.Random) -> bytes:
    value = json.loads(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _changed(value, rng)
    text = json.dumps(value)
    if rng.random() < 0.03 and '": ' in text:
        text = _with_key_twice(text, rng)
    depth = rng.choice((50, 1000, 100_000))
    text = text.replace(
        json.dumps(_DEEP), rng.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth))
    )
    return text.encode()


def _changed(value: Any, rng: random.Random) -> Any:
    """The value with one change somewhere inside it."""
    places = _places(value)
    if not places or rng.random() < 0.02:
        return deepcopy(rng.choice(_VALUES))
    parent, key = rng.choice(places)
    match rng.randrange(9):
        case 0 | 1 | 2:
            parent[key] = deepcopy(rng.choice(_VALUES))
        case 3:
            del parent[key]
        case 4:
            other, its = rng.choice(places)
            parent[key], other[its] = deepcopy(other[its]), deepcopy(parent[key])
        case 5 if isinstance(parent, dict):
            parent[rng.choice(("colour", f"{key}s", str(key).upper(), ""))] = parent.pop(key)
        case 6 if isinstance(parent, dict):
            parent[rng.choice(("colour", "Infinity", "__class__"))] = deepcopy(rng.choice(_VALUES))
        case 7 if isinstance(parent, list):
            parent.insert(rng.randrange(len(parent) + 1), deepcopy(rng.choice((*_VALUES, *parent))))
        case _:
            parent[key] = _resembling(parent[key], rng)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a value, as its parent and its key there."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _resembling(value: Any, rng: random.Random) -> Any:
    """A value that looks like this one and is of another type or size."""
    if isinstance(value, bool):
        return rng.choice((int(value), str(value).lower(), None))
    if isinstance(value, int | float) and abs(value) < 1e200:
        return rng.choice((str(value), [value], -value, value * 10**9, value + 1, value + 0.5, value == 1))
    if isinstance(value, str):
        return rng.choice(
            (value + "\n", value.upper(), value[:-1], [value], {"": value}, value * 50, repr(value))
        )
    if isinstance(value, list):
        return rng.choice(
            (value + deepcopy(value), value[:-1], dict(enumerate(value)), value[::-1], [value], len(value))
        )
    if isinstance(value, dict):
        return rng.choice(([value], list(value), [list(pair) for pair in value.items()], json.dumps(value)))
    return rng.choice(([value], str(value), {"": value}))


def _with_key_twice(text: str, rng: random.Random) -> str:
    end = rng.choice([index for index in range(len(text)) if text.startswith('": ', index)])
    start = text.rfind('"', 0, end)
    key = text[start : end + 1]
    return f"{text[:start]}{key}: null, {text[start:]}"
