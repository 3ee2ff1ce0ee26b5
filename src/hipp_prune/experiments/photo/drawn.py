"""The rung of drawn scenes: what is taught, and what is asked about pictures that nothing was taught about."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

from hipp_prune.experiments.photo.rows import PICTURE_FOLDER, write_rows
from hipp_prune.experiments.photo.settings import PhotoSettings, PhotoTask
from hipp_prune.experiments.photo.tasks import IN_PICTURES, OPEN, Make, facts, open_prompts
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.scenes import Scene, rng_for, scenes

Collection = Literal["training", "questions"]
"""What is taught, and what is asked; also the folder that holds it."""

_TIMES_ASKED = 6
"""How often each wording of a fact is asked, the options drawn anew each time."""


def write_collection(folder: Path, name: Collection, settings: PhotoSettings) -> dict[str, int]:
    """Draws a collection into an empty folder; returns its questions by task.

    The scenes of each are a stream of its own, so no picture is in both.
    """
    drawn = list(islice(scenes(settings.seed, f"photo {name}"), settings.scenes))
    pictures = {f"{number:06d}.png": scene for number, scene in enumerate(drawn)}
    (folder / PICTURE_FOLDER).mkdir(parents=True)
    for picture, scene in pictures.items():
        draw(scene).save(folder / PICTURE_FOLDER / picture)
    counts = {
        str(task): _write_task(folder / f"{task}.jsonl", task, name, pictures, settings.seed)
        for task in settings.tasks
    }
    if name == "questions":
        counts[OPEN] = _write_pictured(folder / f"{OPEN}.jsonl", open_prompts, OPEN, pictures, settings.seed)
    return counts


def _write_task(
    path: Path, task: PhotoTask, name: Collection, pictures: Mapping[str, Scene], seed: int
) -> int:
    if task == "facts":
        rng = rng_for(seed, name, task)
        return write_rows(path, facts(rng, taught=name == "training", times=_TIMES_ASKED))
    make = IN_PICTURES[task] if name == "questions" else _without_roles(IN_PICTURES[task])
    return _write_pictured(path, make, f"{name}/{task}", pictures, seed)


def _without_roles(make: Make) -> Make:
    """The same questions with the roles that their kind has: a recipe of teaching mixes kinds."""
    return lambda scene, rng: (replace(row, role=None) for row in make(scene, rng))


def _write_pictured(path: Path, make: Make, stream: str, pictures: Mapping[str, Scene], seed: int) -> int:
    """Writes what is asked about every picture.

    Args:
        path: of the file.
        make: makes the questions about a scene.
        stream: whose random numbers are taken.
        pictures: scenes by the names of their pictures.
        seed: of the rung.
    """
    rng = rng_for(seed, stream)
    return write_rows(
        path, (row.about(picture) for picture, scene in pictures.items() for row in make(scene, rng))
    )
