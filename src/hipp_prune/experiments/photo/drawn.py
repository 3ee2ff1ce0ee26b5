"""The rung of drawn scenes: what is taught, and what is asked about pictures that nothing was taught about."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hipp_prune.experiments.photo.rows import PICTURE_FOLDER, write_rows
from hipp_prune.experiments.photo.tasks import FACTS, IN_PICTURES, facts
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.scenes import Scene, rng_for, scenes


@dataclass(frozen=True, kw_only=True)
class Collection:
    """How much there is of one."""

    scenes: int
    """Each is drawn, and asked about in every task but ``facts``."""
    times: int
    """How often a fact is asked in the wordings of the collection."""
    taught: bool
    """Whether the model is trained on it."""


COLLECTIONS: Mapping[str, Collection] = {
    "training": Collection(scenes=1200, times=1, taught=True),
    "questions": Collection(scenes=1200, times=6, taught=False),
}
"""By the folder that holds them; their scenes are streams of their own, so no picture is in both.

Stages divide ``questions`` further, by picture; its test split has more than 1,000 questions of every task.
"""


def write_collection(folder: Path, name: str, seed: int, *, share: float = 1.0) -> dict[str, int]:
    """Draws a collection into an empty folder; returns its questions by task.

    Args:
        folder: to write into.
        name: a key of ``COLLECTIONS``.
        seed: of scenes and questions.
        share: of the pictures, in (0, 1], e.g. for a test.
    """
    size = COLLECTIONS[name]
    drawn = list(islice(scenes(seed, f"photo {name}"), max(1, round(share * size.scenes))))
    pictures = [f"{number:06d}.png" for number in range(len(drawn))]
    (folder / PICTURE_FOLDER).mkdir(parents=True)
    for scene, picture in zip(drawn, pictures, strict=True):
        draw(scene).save(folder / PICTURE_FOLDER / picture)
    counts = {
        task: _write_task(folder / f"{task}.jsonl", dict(zip(pictures, drawn, strict=True)), seed)
        for task in IN_PICTURES
    }
    rng = rng_for(seed, name, FACTS)
    asked = facts(rng, taught=size.taught, times=size.times)
    return counts | {FACTS: write_rows(folder / f"{FACTS}.jsonl", asked)}


def _write_task(path: Path, drawn: Mapping[str, Scene], seed: int) -> int:
    rng = rng_for(seed, path.parent.name, path.stem)
    make = IN_PICTURES[path.stem]
    return write_rows(
        path, (row.about(picture) for picture, scene in drawn.items() for row in make(scene, rng))
    )
