"""The embedded world on disk: official POPE and ScienceQA files of every split, and their questions read back.

::

    root/world.json                                  version and seed; written last
    root/{split}/pope/coco_pope_{subset}.json        JSON lines: question_id, image, text, label
    root/{split}/pope/images/000000000123.png
    root/{split}/scienceqa/problems.json             the official record of each question
    root/{split}/scienceqa/pid_splits.json           every question under the official split ``test``
    root/{split}/scienceqa/images/test/{pid}/image.png

No picture and no question-and-hint text is in two splits. Identifiers are unique over all splits.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from hipp_prune.errors import OutputExistsError, QuestionError, RunError
from hipp_prune.files.manifest import note_all
from hipp_prune.files.ranges import Seed
from hipp_prune.files.reading import read_document
from hipp_prune.files.replacing import clean, temporary_name
from hipp_prune.files.system import cause_and_remedy
from hipp_prune.questions.benchmarks import pope, scienceqa
from hipp_prune.questions.benchmarks.pope import SUBSETS
from hipp_prune.questions.question import Question
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.exam import (
    Item,
    hinted_items,
    people_items,
    picture_items,
    plain_items,
    split_of,
    with_choices,
)
from hipp_prune.questions.toyworld.polling import polls, rankings
from hipp_prune.questions.toyworld.scenes import Scene, rng_for, scenes

VERSION = 2
"""Raised whenever the same seed would draw another world."""
OFFICIAL_SPLIT = "test"
"""ScienceQA's own name for the questions of each of our splits."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of the world a split holds."""

    scenes: int
    """Pictures; POPE asks six questions of each in each subset."""
    problems: int
    """Multiple-choice questions."""


@dataclass(frozen=True, kw_only=True)
class _World:
    """What ``world.json`` says."""

    version: int
    seed: Seed


SIZES = {
    "calibration": Size(scenes=40, problems=100),
    "search": Size(scenes=120, problems=400),
    "validation": Size(scenes=80, problems=300),
    "recovery": Size(scenes=150, problems=500),
    "test": Size(scenes=200, problems=1000),
}
"""Every split on disk. The embedded models' own training split is drawn in memory."""

PICTURE_SHARE, PLAIN_SHARE, PEOPLE_SHARE = 0.40, 0.15, 0.22
"""Multiple-choice questions about a picture, and in words alone about things and people; the rest have a hint."""

_IDS_A_SPLIT = 100_000
_MARKER = "world.json"


def write(root: Path, *, seed: int | None = None) -> Path:
    """Draws the embedded world into ``root`` unless it is there already; takes a few seconds.

    Args:
        root: the folder; it appears complete or not at all.
        seed: of scenes and questions; None takes the world that is there, or draws that of seed 0.

    Returns:
        ``root``.

    Raises:
        OutputExistsError: ``root`` holds something else, or a world of another seed or version.
        RunError: the place is full or not writable.
    """
    clean(root.absolute().parent, root.name)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        _check_marker(root, seed)
        return root
    temporary = temporary_name(root.absolute())
    try:
        temporary.mkdir(parents=True)
        for split in SIZES:
            _write_split(temporary / split, split, seed or 0)
        _write_json(temporary / _MARKER, {"version": VERSION, "seed": seed or 0})
        note_all(temporary)
        _move(temporary, root)
    except OSError as error:
        raise RunError(
            f"cannot draw the embedded world in {root}: {cause_and_remedy(error, root)}"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _check_marker(root, seed)
    return root


def load(root: Path, split: str) -> list[Question]:
    """The questions of one split, POPE's first, read by the official loaders.

    Raises:
        QuestionError: an unknown split, or files that cannot be read.
    """
    if split not in SIZES:
        raise QuestionError(
            f"{root}: expected one of the splits {', '.join(SIZES)}, found {split!r}; choose one"
        )
    folder = root / split
    return [*pope.load(folder / "pope"), *scienceqa.load(folder / "scienceqa", OFFICIAL_SPLIT)]


def _check_marker(root: Path, seed: int | None) -> None:
    remedy = "choose a new folder, or one that holds an embedded world"
    found = read_document(root / _MARKER, _World, remedy=remedy, error=OutputExistsError)
    if found.version != VERSION or seed not in {None, found.seed}:
        raise OutputExistsError(
            f"{root}: expected the embedded world of version {VERSION}, seed {seed or 0}, found version "
            f"{found.version}, seed {found.seed}; choose another folder or delete this one"
        )


def _move(temporary: Path, root: Path) -> None:
    """Renames; a world that another process finished in the meantime stays."""
    try:
        temporary.rename(root)
    except OSError:
        if not (root / _MARKER).exists():
            raise


def _write_split(folder: Path, split: str, seed: int) -> None:
    drawn = list(islice(scenes(seed, split), SIZES[split].scenes))
    names = _write_pope(folder / "pope", split, drawn, rng_for(seed, split, "pope"))
    _write_scienceqa(
        folder / "scienceqa", split, list(zip(drawn, names, strict=True)), rng_for(seed, split, "exam")
    )


def _write_pope(folder: Path, split: str, drawn: list[Scene], rng: Random) -> list[Path]:
    """Pictures and the three subsets' files; returns the picture of each scene."""
    first = _first_id(split)
    images = [folder / "images" / f"{first + number:012d}.png" for number in range(len(drawn))]
    (folder / "images").mkdir(parents=True)
    for scene, image in zip(drawn, images, strict=True):
        draw(scene).save(image)
    orders = rankings(drawn)
    for subset in SUBSETS:
        asked = (
            (image.name, poll)
            for scene, image in zip(drawn, images, strict=True)
            for poll in polls(scene, subset, orders, rng)
        )
        lines = (
            json.dumps(
                {
                    "question_id": number,
                    "image": name,
                    "text": poll.text,
                    "label": "yes" if poll.present else "no",
                }
            )
            for number, (name, poll) in enumerate(asked, start=first)
        )
        (folder / f"coco_pope_{subset}.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return images


def _write_scienceqa(folder: Path, split: str, drawn: list[tuple[Scene, Path]], rng: Random) -> None:
    problems = {}
    for pid, (item, image) in enumerate(_asked(split, drawn, rng), start=_first_id(split)):
        problems[str(pid)] = _problem(item, rng, has_image=image is not None)
        if image is not None:
            target = folder / "images" / OFFICIAL_SPLIT / str(pid) / "image.png"
            target.parent.mkdir(parents=True)
            shutil.copyfile(image, target)
    _write_json(folder / "problems.json", problems)
    empty: dict[str, list[str]] = {"train": [], "val": []}
    _write_json(folder / "pid_splits.json", empty | {OFFICIAL_SPLIT: list(problems)})


def _asked(split: str, drawn: list[tuple[Scene, Path]], rng: Random) -> list[tuple[Item, Path | None]]:
    """The multiple-choice questions of a split in random order, each with its picture."""
    total = SIZES[split].problems
    shares = (PICTURE_SHARE, PLAIN_SHARE, PEOPLE_SHARE)
    pictured, plain, personal = (round(total * share) for share in shares)
    hinted = total - pictured - plain - personal
    about_pictures = _about_pictures(drawn, rng)
    asked: list[tuple[Item, Path | None]] = list(islice(about_pictures, pictured))
    for pool, count in ((plain_items(), plain), (people_items(), personal), (hinted_items(), hinted)):
        owned = [item for item in pool if split_of(item) == split]
        asked += [(item, None) for item in rng.sample(owned, count)]
    rng.shuffle(asked)
    return asked


def _about_pictures(drawn: list[tuple[Scene, Path]], rng: Random) -> Iterator[tuple[Item, Path]]:
    streams = [(picture_items(scene, rng), image) for scene, image in drawn]
    while True:
        for stream, image in streams:
            yield next(stream), image


def _problem(item: Item, rng: Random, *, has_image: bool) -> dict[str, object]:
    choices = with_choices(item, rng)
    right = choices.options[choices.answer]
    return {
        "question": item.question,
        "choices": list(choices.options),
        "answer": choices.answer,
        "hint": item.hint,
        "image": "image.png" if has_image else None,
        "task": "closed choice",
        "grade": f"grade{item.grade}",
        "subject": item.subject,
        "topic": item.topic,
        "category": item.topic.capitalize(),
        "skill": f"Tell the {item.topic} of things",
        "lecture": "",
        "solution": f"The answer is {right}.",
        "split": OFFICIAL_SPLIT,
    }


def _first_id(split: str) -> int:
    return (1 + list(SIZES).index(split)) * _IDS_A_SPLIT


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
