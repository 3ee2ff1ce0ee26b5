"""What the embedded models are taught: endless streams of packed rows, one task at a time.

Besides the answer, the last word of every *claim* is a target: the thing a yes/no question names, and every
option of a multiple choice, where the model is to say ``Yes`` or ``No``. The answer then only has to be copied,
or its letter looked up. Without these targets the letters stayed at chance for 600 steps (see ``docs/log.md``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hipp_prune.experiments.toy.packing import Asked, PackedRow, Packer
from hipp_prune.questions.benchmarks import pope, scienceqa
from hipp_prune.questions.benchmarks.pope import SUBSETS
from hipp_prune.questions.multiple_choice import LETTERS
from hipp_prune.questions.toyworld import exam
from hipp_prune.questions.toyworld.polling import Poll, Ranking, polls, rankings
from hipp_prune.questions.toyworld.scenes import Scene, rng_for

Task = Literal["polls", "words", "people", "pictures"]
TASKS: dict[Task, int] = {"polls": 1, "people": 2, "words": 1, "pictures": 1}
"""What is taught, and how often: people twice, for nothing about them follows from anything else."""

ITEMS_PER_PICTURE = 7
ITEMS_PER_TEXT = 8
"""Multiple-choice questions packed into a row, about as many tokens as the polls of a picture."""
HINTED_SHARE = 0.35
"""Share of questions in words alone that have a hint."""


@dataclass(frozen=True)
class Gallery:
    """The scenes a model is taught on, and POPE's candidate orders over them."""

    scenes: tuple[Scene, ...]
    orders: dict[str, Ranking]
    rendered: bool
    """Whether rows refer to cached picture features instead of the names of things."""


def gallery(scenes: Sequence[Scene], *, rendered: bool) -> Gallery:
    """The gallery over ``scenes``."""
    return Gallery(tuple(scenes), rankings(scenes), rendered)


class Teacher:
    """Draws rows of each task for one split of the question texts."""

    def __init__(self, packer: Packer, split: str, seed: int) -> None:
        self._packer = packer
        self._rng = rng_for(seed, split, "teacher")
        self._plain = [item for item in exam.plain_items() if exam.split_of(item) == split]
        self._hinted = [item for item in exam.hinted_items() if exam.split_of(item) == split]
        self._people = [item for item in exam.people_items() if exam.split_of(item) == split]
        self._ids: dict[str, int] = packer.tokenizer.get_vocab()
        self._verdicts = {True: self._ids["Yes"], False: self._ids["No"]}

    def row(self, task: Task, gallery: Gallery) -> PackedRow:
        """One random row of ``task``."""
        if task in {"words", "people"}:
            items = self._word_items() if task == "words" else self._people_items()
            return PackedRow((), -1, tuple(self._ask_items(items, with_picture=False)))
        index = self._rng.randrange(len(gallery.scenes))
        scene = gallery.scenes[index]
        if task == "polls":
            asked = self._ask_polls(self._polls(scene, gallery.orders))
        else:
            stream = exam.picture_items(scene, self._rng)
            asked = self._ask_items([next(stream) for _ in range(ITEMS_PER_PICTURE)], with_picture=True)
        return PackedRow(self._patches(scene), index if gallery.rendered else -1, tuple(asked))

    def _patches(self, scene: Scene) -> tuple[int, ...]:
        return tuple(self._ids[word] for word in scene.words)

    def _polls(self, scene: Scene, orders: dict[str, Ranking]) -> list[Poll]:
        """Every present thing, and as many absent ones from POPE's three procedures."""
        absent = [
            poll for subset in SUBSETS for poll in polls(scene, subset, orders, self._rng) if not poll.present
        ]
        present = [Poll(name, True) for name in scene.names]
        return present + self._rng.sample(absent, len(present))

    def _word_items(self) -> list[exam.Item]:
        pools = (
            self._hinted if self._rng.random() < HINTED_SHARE else self._plain for _ in range(ITEMS_PER_TEXT)
        )
        return [self._rng.choice(pool) for pool in pools]

    def _people_items(self) -> list[exam.Item]:
        return [self._rng.choice(self._people) for _ in range(ITEMS_PER_TEXT)]

    def _ask_polls(self, asked: Sequence[Poll]) -> Iterator[Asked]:
        prompts = [poll.text + pope.INSTRUCTION for poll in asked]
        for poll, ids in zip(asked, self._packer.ask(prompts, with_picture=True), strict=True):
            verdict = self._verdicts[poll.present]
            yield Asked((*ids, verdict), ((ids.index(self._ids[poll.thing]), verdict),))

    def _ask_items(self, items: Sequence[exam.Item], *, with_picture: bool) -> Iterator[Asked]:
        drawn = [exam.with_choices(item, self._rng) for item in items]
        prompts = [prompt(item, choices) for item, choices in zip(items, drawn, strict=True)]
        for choices, ids in zip(drawn, self._packer.ask(prompts, with_picture=with_picture), strict=True):
            claims = [
                (ids.index(self._ids[f"{letter}."]) + 1, self._verdicts[number == choices.answer])
                for number, letter in enumerate(LETTERS[: len(choices.options)])
            ]
            yield Asked((*ids, self._ids[LETTERS[choices.answer]]), tuple(claims))


def prompt(item: exam.Item, choices: exam.Choices) -> str:
    """The prompt LLaVA-1.5 was evaluated with on ScienceQA."""
    hint = f"Context: {item.hint}\n" if item.hint else ""
    options = "\n".join(
        f"{letter}. {option}" for letter, option in zip(LETTERS, choices.options, strict=False)
    )
    return f"{hint}{item.question}\n{options}{scienceqa.INSTRUCTION}"
