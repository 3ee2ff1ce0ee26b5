"""People whose facts follow from nothing: first and last name together decide them, neither alone does.

A thing's name can carry its facts in its own word embedding. A person is two words that others share, so their
facts have to be looked up, which is the work of MLP neurons.
"""

from dataclasses import dataclass

from hipp_prune.questions.toyworld.scenes import rng_for
from hipp_prune.questions.toyworld.things import PLACES, THINGS

FIRST_NAMES = (
    *("Ida", "Jonas", "Klara", "Leo", "Mia", "Noah"),
    *("Olga", "Paul", "Rosa", "Simon", "Tara", "Victor"),
)
LAST_NAMES = (
    *("Adler", "Becker", "Costa", "Dahl", "Evans", "Fischer"),
    *("Garcia", "Hansen", "Ito", "Jansen", "Keller", "Lopez"),
)
PETS = tuple(thing.name for thing in THINGS if thing.kind == "animal")
COLORS = tuple(sorted({thing.color for thing in THINGS}))


@dataclass(frozen=True)
class Person:
    """Somebody of the world, the same in every world."""

    name: str
    work: str
    """The place they work in."""
    pet: str
    favorite: str
    """Their favourite colour."""


def _person(first: str, last: str) -> Person:
    rng = rng_for(first, last)
    return Person(f"{first} {last}", rng.choice(PLACES), rng.choice(PETS), rng.choice(COLORS))


PEOPLE = tuple(_person(first, last) for first in FIRST_NAMES for last in LAST_NAMES)
"""Everybody there is: all first names with all last names."""
VALUES = {"work": PLACES, "pet": PETS, "favorite": COLORS}
"""What each fact of a person may be."""
