"""Numbers as people write them, where the parser reads only Python's: ``50%``, ``0,5``, ``1/2``, ``1e3`` questions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, get_type_hints

from hipp_prune.cli.flags import leaves, values_of


class _Takes(NamedTuple):
    """What a flag takes."""

    kind: type
    """int or float."""
    words: frozenset[str]
    """What else may stand there."""


def misread(command: object, flags: Sequence[str]) -> str | None:
    """The first value of a flag for numbers that is none, and the number that was meant, as a sentence.

    Args:
        command: the class whose fields are the flags.
        flags: the command line behind the verb.
    """
    numeric = dict(_numeric(command))
    for flag, value in values_of(flags):
        takes = numeric.get(flag)
        if takes is None or value in takes.words or _parses(value, takes.kind):
            continue
        expected = "an integer" if takes.kind is int else "a number"
        meant = _meant(value, takes.kind)
        remedy = "correct it" if meant is None else f"did you mean {meant:.12g}?"
        return f"expected {flag} to be {expected}, found {value!r}; {remedy}"
    return None


def _numeric(command: Any) -> Iterator[tuple[str, _Takes]]:
    """Every flag that takes numbers, those of groups among them."""
    hints: Mapping[str, Any] = get_type_hints(command, include_extras=True)
    for field in fields(command):
        kinds = list(leaves(hints[field.name]))
        for group in filter(is_dataclass, kinds):
            yield from _numeric(group)
        if int in kinds or float in kinds:
            words = frozenset("None" if kind is type(None) else str(kind) for kind in kinds)
            yield (
                f"--{field.name.replace('_', '-')}",
                _Takes(kind=float if float in kinds else int, words=words),
            )


def _parses(text: str, kind: type) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _meant(text: str, kind: type) -> float | None:
    """The number that a text is in another notation; None where it is none of that kind."""
    plain = text.replace(" ", "")
    found: float | None = None
    if match := re.fullmatch(r"(\d{1,2}|100|\d{1,2}[.,]\d+)%", plain):
        found = float(match[1].replace(",", ".")) / 100
    elif match := re.fullmatch(r"(\d{1,9})/([1-9]\d{0,8})", plain):
        found = int(match[1]) / int(match[2])
    elif kind is int and re.fullmatch(r"\d{1,3}([,.']\d{3})+", plain):
        found = float(re.sub(r"\D", "", plain))
    elif re.fullmatch(r"\d*,\d+", plain):
        found = float(plain.replace(",", "."))
    elif re.fullmatch(r"\d{1,9}(\.\d+)?(e\d)?", plain):
        found = float(plain)
    return None if found is None or (kind is int and not found.is_integer()) else found
