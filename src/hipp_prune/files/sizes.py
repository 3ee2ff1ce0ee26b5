"""Sizes in bytes as people write them, ``8GB``, ``7.5GiB``, ``900MB``, and as they read them."""

import math
import re

from hipp_prune.errors import InputError

_DECIMAL = ("B", "kB", "MB", "GB", "TB")
_UNITS = {unit: 1000**power for power, unit in enumerate(_DECIMAL)} | {
    unit: 1024**power for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), start=1)
}
_WRITTEN = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s?([A-Za-z]*)")


def parse_size(text: str, *, flag: str) -> int:
    """The bytes that a text means: a number, with a decimal or a binary unit or none.

    Args:
        text: e.g. ``8GB`` (10⁹ bytes each), ``8GiB`` (2³⁰), ``900MB`` or ``8000000000``.
        flag: what the sentence calls it.

    Raises:
        InputError: if it is no size above zero, or of a unit that is spelt otherwise.
    """
    match = _WRITTEN.fullmatch(text)
    number, unit = (match[1], match[2] or "B") if match else ("", "")
    if unit not in _UNITS:
        meant = next((known for known in _UNITS if number and known.lower() in _spellings(unit)), None)
        remedy = f"did you mean {number}{meant}?" if meant else "correct it"
        raise InputError(
            f"expected {flag} to be a size such as 8GB, 7.5GiB, 900MB or a number of bytes, found {text!r}; {remedy}"
        )
    size = float(number) * _UNITS[unit]
    if not 1 <= size < 2**53:
        raise InputError(
            f"expected {flag} to be a size of one byte at least and 9 PB at most, found {text!r}; correct it"
        )
    return int(size)


def _spellings(unit: str) -> tuple[str, ...]:
    """A unit as it may have been meant: in other cases, without its B."""
    return unit.lower(), f"{unit.lower()}b"


def format_bytes(count: int) -> str:
    """A size with three digits and a decimal unit."""
    size = float(count)
    for unit in _DECIMAL[:-1]:
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_DECIMAL[-1]}"


def least_size(count: int) -> str:
    """A size of four digits or so that holds ``count`` bytes, as ``parse_size`` reads it."""
    power = max(0, min(len(_DECIMAL) - 1, (len(str(count)) - 1) // 3))
    digits = 0 if power == 0 else 3
    size = math.ceil(count * 10**digits / 1000**power) / 10**digits
    return f"{size:.{digits}f}".rstrip("0").rstrip(".") + _DECIMAL[power] if digits else f"{count}"
