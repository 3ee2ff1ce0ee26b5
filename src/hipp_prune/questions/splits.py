"""Which questions a stage may see, for benchmarks without splits of their own."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from hipp_prune.errors import InputError
from hipp_prune.questions.question import Question, group_of

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

    Questions that share a picture are of one group, directly or through others, however many pictures they have: that
    group's split is drawn from one of its pictures, and may be another where fewer of its questions are loaded.

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
    return {
        split: [question for _, question in dealt]
        for split, dealt in _deal(questions, seed, fractions).items()
    }


def divide(questions: Iterable[Question], *, seed: int = 0) -> dict[Split, list[Question]]:
    """As :func:`assign`, but no split stays empty where there are as many groups as splits.

    A split that the draw left empty takes one group of the split that has most, always the same one.
    """
    dealt = _deal(questions, seed, FRACTIONS)
    groups = {split: {key for key, _ in members} for split, members in dealt.items()}
    for empty in SPLITS:
        fullest = max(SPLITS, key=lambda split: len(groups[split]))
        if dealt[empty] or len(groups[fullest]) < 2:
            continue
        moved = min(groups[fullest], key=lambda key: hashlib.sha256(f"{seed}\n{key}".encode()).digest())
        groups[fullest].remove(moved)
        groups[empty].add(moved)
        members = dealt[fullest]
        dealt[empty] = [each for each in members if each[0] == moved]
        dealt[fullest] = [each for each in members if each[0] != moved]
    return {split: [question for _, question in members] for split, members in dealt.items()}


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


def _deal(
    questions: Iterable[Question], seed: int, fractions: Mapping[Split, float]
) -> dict[Split, list[tuple[str, Question]]]:
    """Every question in its split, beside the name of its group."""
    questions = list(questions)
    dealt: dict[Split, list[tuple[str, Question]]] = {split: [] for split in SPLITS}
    for key, question in zip(_groups(questions), questions, strict=True):
        dealt[_draw(seed, key, fractions)].append((key, question))
    return dealt


def _groups(questions: Sequence[Question]) -> list[str]:
    """What the split of each is drawn from: the least of all names that its group has, over shared pictures."""
    digests: dict[Path, str] = {}
    names = [_names(question, digests) for question in questions]
    above: dict[str, str] = {}

    def least(name: str) -> str:
        while name in above:
            name = above[name]
        return name

    for first, *others in names:
        for other in others:
            low, high = sorted((least(first), least(other)))
            if low != high:
                above[high] = low
    return [least(first) for first, *_ in names]


def _names(question: Question, digests: dict[Path, str]) -> list[str]:
    """Names of a question's group: its own, or one a picture, equal for equal pictures."""
    if not question.images or question.group != group_of(question.images, ""):
        return ["text:" + " ".join(question.group.split()).casefold()]
    return [_digest(image, digests) for image in question.images]


def _digest(image: Path, digests: dict[Path, str]) -> str:
    """What tells a picture from others: its bytes, or where it cannot be read its path."""
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
