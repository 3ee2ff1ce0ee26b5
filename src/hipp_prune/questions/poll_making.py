"""POPE's own questions for anybody's pictures: official question files from what is known to be in each picture.

The procedure is that of the POPE paper (Li et al. 2023, ``main.py`` of github.com/AoiDragon/POPE). Pictures with
fewer than three objects are left out; the others are put in random order. Of each, the first three objects are asked
for, and after each of them an absent one:

- *random*: any object of the collection;
- *popular*: the one in most pictures of the collection;
- *adversarial*: the one that most often shares a picture with the object asked for just before.

Ties are broken by what came first in the collection. Where nothing absent shares a picture with an object, the absent
one is drawn at random. All draws are those of one generator in the official order, so the official program gives the
same files after ``random.seed(seed)``. One thing differs: it writes "in the imange" after "an", its published files
do not.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.annotations import AnnotatedPicture
from hipp_prune.questions.benchmarks.pope import SUBSETS

POSITIVES = 3
"""Present objects that are asked for in a picture; each is followed by an absent one."""

_VOWELS = "aeiou"

Record = Mapping[str, str | int]
"""A line of an official file: ``question_id``, ``image``, ``text``, ``label``."""


def make_polls(
    pictures: Sequence[AnnotatedPicture], *, count: int | None = None, least: int = POSITIVES, seed: int = 0
) -> dict[str, list[Record]]:
    """The records of the three subsets, six a picture with ``POSITIVES`` objects or more, half of them yes.

    Args:
        pictures: each with its objects.
        count: pictures to draw of those with enough objects; all of them by default.
        least: how many are enough, ≥ 1; ``POSITIVES`` in the official program.
        seed: of the pictures' order and of all negatives that are drawn.

    Raises:
        QuestionError: there are fewer such pictures than ``count``, or none; or a picture shows so much of what the
            collection knows that three absent objects cannot be found.
    """
    enough = [picture for picture in pictures if len(picture.objects) >= least]
    wanted = len(enough) if count is None else count
    if not enough or len(enough) < wanted:
        raise QuestionError(
            f"expected {max(1, wanted)} pictures with at least {least} objects, found {len(enough)} of "
            f"{len(pictures)}; give more annotations or ask for fewer pictures"
        )
    rng = Random(seed)
    drawn = rng.sample(enough, wanted)
    collection = _Collection.of(drawn)
    for picture in drawn:
        collection.refuse_crowded(picture)
    return {subset: _records(drawn, collection, subset, rng) for subset in SUBSETS}


@dataclass(frozen=True, kw_only=True)
class _Collection:
    """What all pictures together know, in the order of first appearance."""

    names: Sequence[str]
    popular: Sequence[str]
    """Most frequent first."""
    together: Mapping[str, Sequence[str]]
    """Of each object those that share a picture with it, most frequent first."""

    @classmethod
    def of(cls, pictures: Sequence[AnnotatedPicture]) -> "_Collection":
        """Counts."""
        frequency = Counter(name for picture in pictures for name in picture.objects)
        shared: dict[str, Counter[str]] = {name: Counter() for name in frequency}
        for picture in pictures:
            for name in picture.objects:
                shared[name].update(other for other in picture.objects if other != name)
        return cls(
            names=list(frequency),
            popular=[name for name, _ in frequency.most_common()],
            together={name: [other for other, _ in others.most_common()] for name, others in shared.items()},
        )

    def refuse_crowded(self, picture: AnnotatedPicture) -> None:
        """Makes sure that a picture lacks ``POSITIVES`` objects of the collection: the official loop has no end else.

        Raises:
            QuestionError: it shows more.
        """
        absent = len(self.names) - len(picture.objects)
        if absent < POSITIVES:
            raise QuestionError(
                f"{picture.image}: expected at least {POSITIVES} of the collection's {len(self.names)} objects to be "
                f"absent, found {absent}; give annotations of more kinds of objects"
            )


def _records(
    pictures: Sequence[AnnotatedPicture], collection: _Collection, subset: str, rng: Random
) -> list[Record]:
    asked = (
        (picture.image, name, label)
        for picture in pictures
        for name, label in _polls(picture, collection, subset, rng)
    )
    return [
        {"question_id": number, "image": image, "text": question_text(name), "label": label}
        for number, (image, name, label) in enumerate(asked, start=1)
    ]


def _polls(
    picture: AnnotatedPicture, collection: _Collection, subset: str, rng: Random
) -> Iterator[tuple[str, str]]:
    taken = set(picture.objects)
    for present in picture.objects[:POSITIVES]:
        yield present, "yes"
        absent = _absent(present, taken, collection, subset, rng)
        taken.add(absent)
        yield absent, "no"


def _absent(present: str, taken: set[str], collection: _Collection, subset: str, rng: Random) -> str:
    """An object that is neither in the picture nor asked for already.

    Args:
        present: the object asked for just before.
        taken: what may not be asked for; smaller than the collection.
        collection: the candidates.
        subset: how one of them is chosen.
        rng: draws where the subset does not say.
    """
    orders: Mapping[str, Sequence[str]] = {
        "random": (),
        "popular": collection.popular,
        "adversarial": collection.together[present],
    }
    chosen = next((name for name in orders[subset] if name not in taken), None)
    while chosen is None:
        name = rng.choice(collection.names)
        chosen = None if name in taken else name
    return chosen


def question_text(name: str) -> str:
    """The question as the published files word it: ``an`` before a vowel letter."""
    article = "an" if name[0] in _VOWELS else "a"
    return f"Is there {article} {name} in the image?"


def file_name(data_set: str, subset: str) -> str:
    """What the official files are called."""
    return f"{data_set}_pope_{subset}.json"


def file_text(records: Sequence[Record]) -> str:
    """Records as JSON lines, as the official program writes them."""
    return "".join(json.dumps(record) + "\n" for record in records)


def with_files(pictures: Sequence[AnnotatedPicture], folder: Path) -> list[AnnotatedPicture]:
    """The pictures whose files are in ``folder``.

    Raises:
        ImageError: there is no folder, or none of them is there.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: expected a folder with pictures, found none; check --images")
    there = {path.name for path in folder.iterdir()}
    found = [picture for picture in pictures if picture.image in there]
    if not found:
        raise ImageError(
            f"{folder}: expected the annotated pictures, e.g. {pictures[0].image}, found none of {len(pictures)}; "
            "check --images"
        )
    return found
