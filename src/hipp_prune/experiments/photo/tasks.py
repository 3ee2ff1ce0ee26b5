"""Questions that need what pruning removes: five tasks about the embedded world, a question file each.

``presence`` asks for things of a kind that the picture shows too; ``counting``, ``attributes`` and ``relations`` need
several things at once, or a fact about one; ``facts`` has no picture: 432 facts about people that follow from nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, permutations
from random import Random

from hipp_prune.experiments.photo.rows import OwnRow
from hipp_prune.experiments.photo.settings import PhotoTask
from hipp_prune.questions.multiple_choice import MOST_LETTERS
from hipp_prune.questions.toyworld.exam import Item, people_items, picture_items, split_of, with_choices
from hipp_prune.questions.toyworld.scenes import GRID, MOST, Scene
from hipp_prune.questions.toyworld.things import THING_BY_NAME, THINGS

_EACH = 3
"""Questions of a task about a picture that have one answer; as many have the other."""
_TRIES = 60
"""Questions of the embedded world that are drawn to find those about attributes."""
_ATTRIBUTES = ("color", "material", "action", "initial")
_COUNTS = tuple(map(str, range(MOST + 1)))
OPEN = "open"
"""The file of prompts without an answer; nothing like it is taught."""
OPEN_PROMPTS = (
    "Describe the picture.",
    "What is shown in the picture, and where?",
    "Write a short story about what is in the picture.",
    "What could one do with the things in the picture?",
)
_PLURALS = {"dish": "dishes"}


def presence(scene: Scene, rng: Random) -> Iterator[OwnRow]:
    """Yes or No: is a thing there? What is not is, where possible, of the same kind as something that is."""
    kinds = {THING_BY_NAME[name].kind for name in scene.names}
    absent = [thing for thing in THINGS if thing.name not in scene.names]
    alike = [thing for thing in absent if thing.kind in kinds]
    others = [thing for thing in absent if thing.kind not in kinds]
    wrong = [*rng.sample(alike, len(alike)), *rng.sample(others, len(others))]
    for name, thing in zip(rng.sample(scene.names, _EACH), wrong, strict=False):
        yield OwnRow(question=f"Is there {THING_BY_NAME[name].phrase} in the image?", answer="Yes")
        yield OwnRow(question=f"Is there {thing.phrase} in the image?", answer="No")


def counting(scene: Scene, rng: Random) -> Iterator[OwnRow]:
    """A letter: how many things of a kind, or of any kind, are there? The counts asked for are spread evenly."""
    kinds = [THING_BY_NAME[name].kind for name in scene.names]
    every = sorted({thing.kind for thing in THINGS})
    by_count = {
        count: [kind for kind in every if kinds.count(kind) == count]
        for count in set(map(kinds.count, every))
    }
    asked = [("things", len(kinds))]
    asked += [(_plural(rng.choice(by_count[count])), count) for count in sorted(by_count)]
    for name, count in asked:
        yield OwnRow(
            question=f"How many {name} are in the picture?", answer=MOST_LETTERS[count], choices=_COUNTS
        )


def attributes(scene: Scene, rng: Random) -> Iterator[OwnRow]:
    """A letter: a fact about the one thing of its kind in the picture."""
    for item in _different(islice(picture_items(scene, rng), _TRIES)):
        if item.topic in _ATTRIBUTES:
            yield _choice(item, rng)


def relations(scene: Scene, rng: Random) -> Iterator[OwnRow]:
    """Yes or No: is one thing above another? Half are."""
    row_of = {name: cell // GRID for cell, name in enumerate(scene.cells) if name is not None}
    pairs = [(a, b) for a, b in permutations(scene.names, 2) if row_of[a] < row_of[b]]
    for above, below in rng.sample(pairs, min(_EACH, len(pairs))):
        first, second, answer = (above, below, "Yes") if rng.random() < 0.5 else (below, above, "No")
        yield OwnRow(
            question=f"Is the {first} above the {second} in the picture?", answer=answer, role="utility"
        )


def open_prompts(scene: Scene, rng: Random) -> Iterator[OwnRow]:
    """A prompt without an answer: how far a pruned model's words are from the dense one's is all that is asked."""
    del scene
    yield OwnRow(question=rng.choice(OPEN_PROMPTS))


Make = Callable[[Scene, Random], Iterator[OwnRow]]
"""Makes the questions about a scene."""

IN_PICTURES: Mapping[PhotoTask, Make] = {
    "presence": presence,
    "counting": counting,
    "attributes": attributes,
    "relations": relations,
}
"""The tasks about pictures."""


def facts(rng: Random, *, taught: bool, times: int) -> Iterator[OwnRow]:
    """A letter: what somebody does, has or likes, in words alone.

    Every fact is taught in some wordings and asked in others.

    Args:
        rng: draws the options.
        taught: the wordings that are taught; else the others.
        times: how often each is asked, with other options each time, ≥ 1.
    """
    for item in people_items():
        if (split_of(item) == "train") == taught:
            for _ in range(times):
                yield _choice(item, rng)


def _choice(item: Item, rng: Random) -> OwnRow:
    choices = with_choices(item, rng)
    return OwnRow(
        question=item.question,
        answer=MOST_LETTERS[choices.answer],
        choices=choices.options,
        group=None if item.topic in _ATTRIBUTES else item.question,
    )


def _different(items: Iterator[Item]) -> Sequence[Item]:
    return list({item.question: item for item in items}.values())


def _plural(kind: str) -> str:
    return _PLURALS.get(kind, f"{kind}s")
