"""Which questions a stage may see, for benchmarks without splits of their own."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Literal, get_args

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.questions.groups import connected
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

    Questions that share a picture are of one group, directly or through others, however many pictures they have and
    whatever groups they name: that group's split is drawn from one of its pictures or names, and may be another where
    fewer of its questions are loaded.

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
    questions = list(questions)
    keys = _keys(questions)
    return _dealt(questions, keys, {key: _draw(seed, key, fractions) for key in keys})


def divide(questions: Iterable[Question], *, seed: int = 0) -> dict[Split, list[Question]]:
    """As :func:`assign`, but no split stays empty where there are as many groups as splits.

    A split that the draw left empty takes one group of the split that has most, always the same one.
    """
    (divided,) = divide_together([list(questions)], seed=seed)
    return divided


def divide_together(
    sources: Sequence[Sequence[Question]],
    *,
    seed: int = 0,
    fixed: Iterable[Mapping[Split, Sequence[Question]]] = (),
) -> list[dict[Split, list[Question]]]:
    """As :func:`divide`, each source for itself, but no picture is in one split here and in another one there.

    A split that the draw left empty takes a group only where no source loses the last one of a split by it.

    Args:
        sources: the questions of each.
        seed: of the draw.
        fixed: questions whose split is given: others about their pictures go with them.

    Raises:
        QuestionError: a group of a source shows pictures whose given splits are two.
    """
    given: list[tuple[Split, Question]] = []
    for split, members in chain.from_iterable(splits.items() for splits in fixed):
        given += [(split, each) for each in members]
    everything = [question for questions in sources for question in questions]
    keys = _keys([*everything, *(question for _, question in given)])
    kept = _fixed(keys, everything, [split for split, _ in given])
    drawn = {key: kept.get(key) or _draw(seed, key, FRACTIONS) for key in keys}
    ends = accumulate(map(len, sources), initial=0)
    own = [keys[start:end] for start, end in pairwise(ends)]
    groups = [set(each) for each in own]
    for each in groups:
        _fill(each, groups, drawn, kept, seed)
    return [_dealt(questions, each, drawn) for questions, each in zip(sources, own, strict=True)]


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


def _keys(questions: Sequence[Question]) -> list[str]:
    """What the split of each is drawn from: the least of all names that its group has, over shared pictures."""
    digests: dict[Path, str] = {}
    names = [_names(question, digests) for question in questions]
    firsts = connected(
        {*own, *(_digest(image, digests) for image in question.images)}
        for own, question in zip(names, questions, strict=True)
    )
    keys: dict[int, str] = {}
    for first, own in zip(firsts, names, strict=True):
        keys[first] = min(*own, keys.get(first, own[0]))
    return [keys[first] for first in firsts]


def _fixed(keys: Sequence[str], questions: Sequence[Question], splits: Sequence[Split]) -> dict[str, Split]:
    """The given splits by key.

    Args:
        keys: of the questions, and behind them of those whose split is given.
        questions: whose split is not given.
        splits: the given ones.

    Raises:
        QuestionError: a question would have to be in two.
    """
    given: dict[str, Split] = {}
    several = set()
    for key, split in zip(keys[len(questions) :], splits, strict=True):
        if given.setdefault(key, split) != split:
            several.add(key)
    for key, question in zip(keys, questions, strict=False):
        if key in several:
            raise QuestionError(
                f"question {question.id}: expected pictures of one split of the embedded world, found some of two, "
                "here or through questions of its group; leave one of them out"
            )
    return given


def _fill(
    own: Set[str], sources: Sequence[Set[str]], drawn: dict[str, Split], kept: Collection[str], seed: int
) -> None:
    """Moves groups into the splits of a source that the draw left empty, as far as there are any to spare.

    Args:
        own: the keys of its groups.
        sources: those of every source.
        drawn: the split of every key.
        kept: keys whose split is given.
        seed: of the draw.
    """
    for empty in SPLITS:
        held = Counter(drawn[key] for key in own)
        if held[empty]:
            continue
        counts = [Counter(drawn[key] for key in groups) for groups in sources]
        spare = [
            key
            for key in own - {*kept}
            if held[drawn[key]] > 1
            and all(
                count[drawn[key]] > 1 or not count[empty]
                for groups, count in zip(sources, counts, strict=True)
                if key in groups
            )
        ]
        if spare:
            fullest = max(
                (drawn[key] for key in spare), key=lambda split: (held[split], -SPLITS.index(split))
            )
            most = (key for key in spare if drawn[key] == fullest)
            moved = min(most, key=lambda key: hashlib.sha256(f"{seed}\n{key}".encode()).digest())
            drawn[moved] = empty


def _dealt(
    questions: Sequence[Question], keys: Sequence[str], drawn: Mapping[str, Split]
) -> dict[Split, list[Question]]:
    """The questions by the split of their key."""
    dealt: dict[Split, list[Question]] = {split: [] for split in SPLITS}
    for key, question in zip(keys, questions, strict=True):
        dealt[drawn[key]].append(question)
    return dealt


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
