"""POPE's official question procedure over scenes: six questions a scene, half yes, three kinds of negatives."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from random import Random

from hipp_prune.questions.poll_making import POSITIVES
from hipp_prune.questions.toyworld.scenes import Scene
from hipp_prune.questions.toyworld.things import THINGS, article

_NAMES = tuple(thing.name for thing in THINGS)


@dataclass(frozen=True)
class Poll:
    """One yes/no question about a scene."""

    thing: str
    present: bool

    @property
    def text(self) -> str:
        """The question as the official files word it."""
        return f"Is there {article(self.thing)} {self.thing} in the image?"


Ranking = Callable[[str], Sequence[str]]
"""Present thing → absent candidates, most tempting first."""


def rankings(collection: Sequence[Scene]) -> dict[str, Ranking]:
    """The *popular* and *adversarial* candidate orders of a collection of scenes.

    Ties are broken by name, so that the order depends on the collection only.
    """
    frequency = Counter(name for scene in collection for name in scene.names)
    together: Counter[tuple[str, str]] = Counter()
    for scene in collection:
        together.update(permutations(scene.names, 2))
    names = sorted(_NAMES)
    popular = sorted(names, key=lambda name: -frequency[name])
    adversarial = {a: sorted(names, key=lambda b: -together[a, b]) for a in names}
    return {"popular": lambda _present: popular, "adversarial": lambda present: adversarial[present]}


def polls(scene: Scene, subset: str, orders: dict[str, Ranking], rng: Random) -> Iterator[Poll]:
    """``2 * POSITIVES`` questions about ``scene``: present and absent things in turn, none asked twice.

    Args:
        scene: whose things are asked for.
        subset: ``random``, ``popular`` or ``adversarial``: how absent things are chosen.
        orders: candidates in their order, by subset (``rankings``).
        rng: draws the present things, and the absent ones of ``random``.
    """
    asked: set[str] = set(scene.names)
    for present in rng.sample(scene.names, POSITIVES):
        yield Poll(present, True)
        if subset == "random":
            candidates: Sequence[str] = rng.sample(_NAMES, len(_NAMES))
        else:
            candidates = orders[subset](present)
        absent = next(name for name in candidates if name not in asked)
        asked.add(absent)
        yield Poll(absent, False)
