"""Scenes: which things stand in which cell of a place, drawn so that things of one place co-occur."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from hipp_prune.questions.toyworld.things import PLACES, THING_BY_NAME, THINGS, Thing

GRID = 4
"""Cells along each side of a scene."""
FEWEST, MOST = 3, 6
"""Things in a scene; POPE's procedure needs at least three."""
NATIVE_SHARE = 0.75
"""Probability that a thing is drawn from those of the scene's place, so that co-occurrence means something."""
POPULARITY = (5.0, 4.0, 3.0, 2.0, 1.0)
"""Relative frequency of the five things of a place, so that POPE's *popular* negatives mean something."""


@dataclass(frozen=True)
class Scene:
    """One picture before it is drawn."""

    place: str
    cells: tuple[str | None, ...]
    """Name of the thing in each cell, row by row; ``None`` where only the place shows. Length ``GRID**2``."""
    drawing_seed: str
    """Seed of the jitter in position, size and hue."""

    @property
    def names(self) -> tuple[str, ...]:
        """The things in the scene, row by row; all different."""
        return tuple(name for name in self.cells if name is not None)

    @property
    def words(self) -> tuple[str, ...]:
        """One word a cell: the thing in it, else the place. What a perfect vision tower would say."""
        return tuple(name or self.place for name in self.cells)


def rng_for(*key: object) -> Random:
    """A generator that depends on ``key`` only, the same on every platform and run."""
    return Random("/".join(map(str, key)))


def draw_scene(rng: Random) -> Scene:
    """A random scene: a place, ``FEWEST`` to ``MOST`` different things, each in its own cell."""
    place = rng.choice(PLACES)
    natives = [thing for thing in THINGS if thing.place == place]
    weights = dict(zip((thing.name for thing in natives), POPULARITY, strict=True))
    names: list[str] = []
    wanted = rng.randint(FEWEST, MOST)
    while len(names) < wanted:
        name = _draw_name(rng, weights)
        if name not in names:
            names.append(name)
    cells: list[str | None] = [None] * GRID**2
    for cell, name in zip(rng.sample(range(GRID**2), wanted), names, strict=True):
        cells[cell] = name
    return Scene(place, tuple(cells), f"{rng.getrandbits(64):016x}")


def _draw_name(rng: Random, native_weights: dict[str, float]) -> str:
    if rng.random() < NATIVE_SHARE:
        return rng.choices(list(native_weights), list(native_weights.values()))[0]
    return rng.choice(THINGS).name


def scenes(seed: int, split: str) -> Iterator[Scene]:
    """An endless stream of scenes of one split; a longer read extends a shorter one."""
    rng = rng_for(seed, split, "scenes")
    while True:
        yield draw_scene(rng)


def only_of_kind(scene: Scene, kind: str) -> Thing | None:
    """The one thing of ``kind`` in ``scene``; ``None`` when there is none or more than one."""
    present = (THING_BY_NAME[name] for name in scene.names)
    found = [thing for thing in present if thing.kind == kind]
    return found[0] if len(found) == 1 else None
