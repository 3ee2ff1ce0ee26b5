"""Photographs with annotations: which are taught, which are asked about, and the same questions beside wrong pictures.

``training`` and ``questions`` are folders as POPE's files and pictures usually lie in one; no photograph is in both.
Every photograph is taught beside its mirror image. Those that are asked about show three objects or more, as POPE wants
it; of those that are taught one will do. ``controls`` holds the pictures that ought not to help: each file
of ``questions/images`` again, but with another's photograph in it, or with the mean of all that are taught.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from shutil import copyfile

import numpy as np
from PIL import Image, ImageOps

from hipp_prune.errors import QuestionError
from hipp_prune.experiments.photo.rows import OwnRow, write_rows
from hipp_prune.experiments.photo.settings import PhotoSettings
from hipp_prune.experiments.photo.tasks import OPEN, OPEN_PROMPTS
from hipp_prune.questions.annotations import AnnotatedPicture, read_annotations
from hipp_prune.questions.images import read_image
from hipp_prune.questions.poll_making import POSITIVES, file_name, file_text, make_polls, with_files

IMAGES = "images"
"""The folder with the pictures, beside POPE's files."""
CONTROLS = ("shuffled", "mean")
"""Pictures that ought not to help."""

_MIRRORED = "mirrored-"
_DATA_SET = "photographs"
_SIDE = 288
"""Of the mean picture, in pixels."""


def divided(settings: PhotoSettings) -> tuple[list[AnnotatedPicture], list[AnnotatedPicture]]:
    """Photographs that are taught, and others that are asked about, each in the order of a draw.

    Raises:
        QuestionError: the annotations are none, or too few photographs have enough objects.
        ImageError: there is no folder of photographs, or none of those that are annotated is there.
    """
    assert settings.photos is not None, "the settings are those of photographs"
    assert settings.objects is not None, "the settings are those of photographs"
    there = [each for each in with_files(read_annotations(settings.objects), settings.photos) if each.objects]
    rng = Random(settings.seed)
    drawn = rng.sample(there, len(there))
    asked = [each for each in drawn if len(each.objects) >= POSITIVES][: settings.asked]
    rest = [each for each in drawn if each not in asked]
    if len(asked) < settings.asked or not rest:
        raise QuestionError(
            f"{settings.objects}: expected more than {settings.asked} photographs in {settings.photos}, "
            f"{settings.asked} of them with at least {POSITIVES} objects, found {len(there)}, {len(asked)} of them; "
            "give more photographs or a smaller --asked"
        )
    return rest[: settings.taught], asked


def write_training(folder: Path, settings: PhotoSettings) -> dict[str, int]:
    """Writes what is taught into an empty folder; returns its questions by subset."""
    taught, _ = divided(settings)
    assert settings.photos is not None, "the settings are those of photographs"
    (folder / IMAGES).mkdir()
    for each in taught:
        copyfile(settings.photos / each.image, folder / IMAGES / each.image)
        mirror = ImageOps.mirror(read_image(settings.photos / each.image))
        mirror.save(folder / IMAGES / mirrored(each.image), quality=95)
    both = [replace(each, image=name) for each in taught for name in (each.image, mirrored(each.image))]
    return _write_polls(folder, both, least=1, seed=settings.seed)


def write_questions(folder: Path, settings: PhotoSettings) -> dict[str, int]:
    """Writes what is asked into an empty folder; returns its questions by subset, and its open prompts."""
    _, asked = divided(settings)
    assert settings.photos is not None, "the settings are those of photographs"
    (folder / IMAGES).mkdir()
    for each in asked:
        copyfile(settings.photos / each.image, folder / IMAGES / each.image)
    rng = Random(settings.seed)
    rows = (OwnRow(question=rng.choice(OPEN_PROMPTS), image=f"{IMAGES}/{each.image}") for each in asked)
    counts = _write_polls(folder, asked, least=POSITIVES, seed=settings.seed)
    return counts | {OPEN: write_rows(folder / f"{OPEN}.jsonl", rows)}


def write_controls(folder: Path, settings: PhotoSettings) -> dict[str, int]:
    """Writes the wrong pictures into an empty folder; returns how many by kind."""
    taught, asked = divided(settings)
    photos = settings.photos
    assert photos is not None, "the settings are those of photographs"
    names = [each.image for each in asked]
    mean = mean_picture([photos / each.image for each in taught])
    for kind in CONTROLS:
        (folder / kind).mkdir()
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        _write_as(read_image(photos / other), folder / "shuffled" / name)
        _write_as(mean, folder / "mean" / name)
    return dict.fromkeys(CONTROLS, len(names))


def mirrored(name: str) -> str:
    """What a photograph's mirror image is called."""
    return _MIRRORED + name


def photograph(name: str) -> str:
    """The photograph that a picture which is taught shows, as it is or mirrored."""
    return name.removeprefix(_MIRRORED)


def objects_shown(settings: PhotoSettings, pictures: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Names of objects, those in most photographs first, and which are in each of some pictures that are taught.

    Returns:
        The names, and a matrix of 0 and 1, float64 [pictures, names].
    """
    taught, _ = divided(settings)
    objects = {each.image: each.objects for each in taught}
    counts: dict[str, int] = {}
    for name in (name for each in taught for name in each.objects):
        counts[name] = counts.get(name, 0) + 1
    names = sorted(counts, key=lambda name: (-counts[name], name))
    shown = [objects[photograph(picture)] for picture in pictures]
    return names, np.array([[name in each for name in names] for each in shown], dtype=np.float64)


def mean_picture(paths: Sequence[Path]) -> Image.Image:
    """The mean of pictures, each brought to one square."""
    total = np.zeros((_SIDE, _SIDE, 3))
    for path in paths:
        total += np.asarray(read_image(path).resize((_SIDE, _SIDE)), dtype=np.float64)
    return Image.fromarray(np.rint(total / len(paths)).astype(np.uint8))


def _write_polls(
    folder: Path, pictures: Sequence[AnnotatedPicture], *, least: int, seed: int
) -> dict[str, int]:
    polls = make_polls(pictures, least=least, seed=seed)
    for subset, records in polls.items():
        (folder / file_name(_DATA_SET, subset)).write_text(file_text(records), encoding="utf-8")
    return {subset: len(records) for subset, records in polls.items()}


def _write_as(picture: Image.Image, path: Path) -> None:
    """Writes a picture in the format that its new name says."""
    picture.save(path, quality=95)


COLLECTION_WRITERS: Mapping[str, Callable[[Path, PhotoSettings], dict[str, int]]] = {
    "training": write_training,
    "questions": write_questions,
    "controls": write_controls,
}
"""What writes each folder of a rung."""
