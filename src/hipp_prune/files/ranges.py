"""Numbers with their ranges, one name each: of settings that users give and of fields that files hold.

``files.strict`` refuses what lies outside, everywhere in the same words. All of them are finite.
"""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, Predicate

Seed = Annotated[int, Ge(0), Lt(2**63)]
"""Of a random generator, in [0, 2⁶³)."""

Count = Annotated[int, Ge(1), Lt(2**31)]
"""How many, at least one: questions, blocks, neurons, steps."""

Natural = Annotated[int, Ge(0), Lt(2**31)]
"""How many, perhaps none."""

Large = Annotated[int, Ge(0), Lt(2**53)]
"""Parameters or bytes, perhaps none; a float holds every one of them exactly."""

Share = Annotated[float, Ge(0), Le(1)]
"""A fraction in [0, 1]."""


Mixed = Annotated[float, Gt(0), Lt(1)]
"""A fraction in (0, 1): of a mixture that has more than one part."""


def in_order(bounds: tuple[float, float]) -> bool:
    """Whether the first of two numbers is not the larger one."""
    return bounds[0] <= bounds[1]


Bounds = Annotated[tuple[Share, Share], Predicate(in_order)]
"""The ends of an interval of shares, the smaller first."""

Faster = Annotated[float, Gt(1), Le(1e6)]
"""A speed as a multiple of another one that is lower."""

Positive = Annotated[float, Gt(0), Le(1e9)]
"""A quantity above zero."""

NotNegative = Annotated[float, Ge(0), Le(1e9)]
"""A quantity that may be zero."""
