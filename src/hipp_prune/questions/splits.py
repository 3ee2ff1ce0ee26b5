"""Which questions a stage may see, for benchmarks without splits of their own."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from hipp_prune.errors import InputError
from hipp_prune.questions.question import Question

Split = Literal["calibration", "search", "validation", "recovery", "test"]
"""calibration: sensitivity and importance; search: rewards; validation: held out while searching;
recovery: fine-tuning a pruned model; test: reported numbers."""

SPLITS: tuple[Split, ...] = get_args(Split)
"""All splits, in the order in which a run uses them."""

FRACTIONS: Mapping[Split, float] = {
    "calibration": 0.1,
    "search": 0.3,
    "validation": 0.1,
    "recovery": 0.2,
    "test": 0.3,
}
"""Expected share of the *groups*; a small set deviates, because each group is drawn on its own."""


_DIGEST = re.compile("[0-9a-f]{64}")
"""What pictures without a file of their own are called in the cache."""


def assign(
    questions: Iterable[Question], *, seed: int = 0, fractions: Mapping[Split, float] = FRACTIONS
) -> dict[Split, list[Question]]:
    """Every question in exactly one split, all of one group in the same; order is kept within a split.

    A group's split is a hash of ``seed`` and the group alone, so it depends neither on the order nor on
    which other questions are loaded: half a benchmark splits as it does within the whole.

    Where the group is the picture, the hash is taken of the file's bytes rather than of its path: 227 of
    ScienceQA's 2,017 test pictures are copies of another, and a moved data folder must not reshuffle the
    splits. Reading all of them costs 0.4 s. A picture that cannot be read (``check_images`` reports it) is
    represented by its path. Texts are compared without regard to case and spacing.

    Raises:
        InputError: ``fractions`` lacks a split, has a negative share, or does not sum to one.
    """
    _check_fractions(fractions)
    digests: dict[Path, str] = {}
    assigned: dict[Split, list[Question]] = {split: [] for split in SPLITS}
    for question in questions:
        assigned[_draw(seed, _key(question, digests), fractions)].append(question)
    return assigned


def divide(questions: Iterable[Question], *, seed: int = 0) -> dict[Split, list[Question]]:
    """As :func:`assign`, but no split stays empty where there are as many groups as splits.

    A split that the draw left empty takes one group of the split that has most, always the same one.
    """
    assigned = assign(questions, seed=seed)
    digests: dict[Path, str] = {}
    groups = {split: {_key(question, digests) for question in members} for split, members in assigned.items()}
    for empty in SPLITS:
        fullest = max(SPLITS, key=lambda split: len(groups[split]))
        if assigned[empty] or len(groups[fullest]) < 2:
            continue
        moved = min(groups[fullest], key=lambda key: hashlib.sha256(f"{seed}\n{key}".encode()).digest())
        groups[fullest].remove(moved)
        groups[empty].add(moved)
        members = assigned[fullest]
        assigned[empty] = [question for question in members if _key(question, digests) == moved]
        assigned[fullest] = [question for question in members if _key(question, digests) != moved]
    return assigned


def at_most(questions: Sequence[Question], count: int | None, *, seed: int = 0) -> list[Question]:
    """At most ``count`` questions a benchmark, in their order; all without a count.

    Which ones is a hash of ``seed`` and the id alone: fewer are some of more, whatever else is loaded.
    """
    if count is None:
        return list(questions)
    drawn = sorted(questions, key=lambda each: hashlib.sha256(f"{seed}\n{each.id}".encode()).digest())
    chosen: dict[str, set[str]] = {}
    for question in drawn:
        ids = chosen.setdefault(question.benchmark, set())
        if len(ids) < count:
            ids.add(question.id)
    return [question for question in questions if question.id in chosen[question.benchmark]]


def _check_fractions(fractions: Mapping[Split, float]) -> None:
    complete = set(fractions) == set(SPLITS)
    if not complete or min(fractions.values()) < 0 or not math.isclose(sum(fractions.values()), 1):
        raise InputError(
            f"fractions: expected non-negative shares of {', '.join(SPLITS)} that sum to 1, "
            f"found {dict(fractions)}; correct them"
        )


def _key(question: Question, digests: dict[Path, str]) -> str:
    """What the split is drawn from: equal for equal groups, and for groups that are the same picture."""
    image = question.image
    if image is None or question.group != str(image):
        return "text:" + " ".join(question.group.split()).casefold()
    if image not in digests:
        try:
            digests[image] = "bytes:" + hashlib.sha256(image.read_bytes()).hexdigest()
        except (OSError, ValueError):  # a path with a NUL is no path at all
            kept = _DIGEST.fullmatch(image.stem)  # not written into the cache yet
            digests[image] = f"bytes:{image.stem}" if kept else f"path:{image}"
    return digests[image]


def _draw(seed: int, key: str, fractions: Mapping[Split, float]) -> Split:
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    point = int.from_bytes(digest[:6], "big") / 2**48
    for split in SPLITS:
        if point < fractions[split]:
            return split
        point -= fractions[split]
    # Rounding in the subtractions may leave a hair above the last share.
    return max(SPLITS, key=lambda split: (fractions[split] > 0, SPLITS.index(split)))
