"""The questions that sources name (``questions.specs``), and their splits.

The toyworld has splits of its own. All others are divided together by :func:`~.splits.divide_together` into
calibration, search, validation, recovery and test, no picture in two of them whichever sources show it, so a plan found
on one split is measured on another. ``"all"`` asks for everything a source names: the whole official file, whose
number can be compared with published ones *provided that no stage of the run has seen that file*. Where a benchmark has
official splits, search on one (``split=train``) and evaluate all of another (``split=test``).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from hipp_prune.errors import QuestionError
from hipp_prune.questions import toyworld
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.questions.groups import merge_groups
from hipp_prune.questions.images import check_images, turned
from hipp_prune.questions.own.benchmarks import OPTIONS
from hipp_prune.questions.own.loading import load_own
from hipp_prune.questions.own.photos import load_photos
from hipp_prune.questions.question import Question, pictures_of
from hipp_prune.questions.records import SkipBad, warn
from hipp_prune.questions.specs import OWN, PHOTOS, TOYWORLD, Source, allowed_options, parse_source
from hipp_prune.questions.splits import SPLITS, Split, at_most, divide_together


def load_questions(
    specs: Sequence[str],
    split: Split | Literal["all"],
    *,
    cache: Path,
    seed: int = 0,
    skip_bad: SkipBad | None = None,
    need_images: bool = True,
) -> list[Question]:
    """The questions of all specs, in their order, that belong to a split; every picture checked.

    Args:
        specs: spec strings, see the table above.
        split: the stage's share, or ``"all"``.
        cache: where the embedded world is drawn when a spec names no folder.
        seed: of the division into splits. The toyworld is a fixed benchmark and ignores it.
        skip_bad: counts bad records and pictures and leaves them out; None makes them errors.
        need_images: False where answers are scored and no picture is opened.

    Raises:
        QuestionError: a spec or file that cannot be read, no question in the split, one id twice, or a benchmark
            with two weights.
        ImageError: pictures that are missing or cannot be decoded.
    """
    questions: list[Question] = []
    owners: dict[str, str] = {}
    sources = [parse_source(text) for text in specs]
    shares = _shares(sources, split, cache, seed, skip_bad, need_images=need_images)
    for text, source, share in zip(specs, sources, shares, strict=True):
        wanted = share.values() if split == "all" else [share[split]]
        loaded = [question for members in wanted for question in _taken(members, source, seed)]
        if need_images:
            loaded = check_images(loaded, skip_bad)
        if not loaded:
            raise QuestionError(
                f"questions {text!r}: expected some in split {split}, found none; {_what_there_is(share)}"
            )
        for question in loaded:
            if question.id in owners:
                raise QuestionError(
                    f"questions {text!r}: expected every id once, found {question.id} again "
                    f"(first in {owners[question.id]!r}); give one of them at a time"
                )
            owners[question.id] = text
        questions += loaded
    _check_weights(questions)
    return merge_groups(questions)


def load_splits(
    specs: Sequence[str], *, cache: Path, seed: int = 0, skip_bad: SkipBad | None = None
) -> dict[Split, list[Question]]:
    """The questions of every split, to count them; no picture is opened, and none is written.

    Args:
        specs: spec strings.
        cache: where the embedded world is drawn when a spec names no folder.
        seed: of the division into splits.
        skip_bad: counts bad records and leaves them out; None makes them errors.

    Raises:
        QuestionError: a spec or file that cannot be read, or a source that leaves a split empty, saying how many
            pictures it would take.
    """
    found: dict[Split, list[Question]] = {split: [] for split in SPLITS}
    sources = [parse_source(text) for text in specs]
    shares = _divided(sources, SPLITS, cache, seed, skip_bad, need_images=False)
    for text, source, share in zip(specs, sources, shares, strict=True):
        if empty := [split for split in SPLITS if not share[split]]:
            together = merge_groups([question for members in share.values() for question in members])
            pictures = len({question.group for question in together})
            raise QuestionError(
                f"questions {text!r}: expected some in every split, found none for {', '.join(empty)}: they are about "
                f"{pictures} pictures (or groups), every split needs some of its own, and no two share one; add "
                f"questions about {max(1, len(SPLITS) - pictures)} more"
            )
        for split, members in share.items():
            found[split] += _taken(members, source, seed)
    return {split: merge_groups(members) for split, members in found.items()}


def _check_weights(questions: Sequence[Question]) -> None:
    """Refuses two sources that give one benchmark different weights."""
    weights: dict[str, float] = {}
    for question in questions:
        before = weights.setdefault(question.benchmark, question.weight)
        if before != question.weight:
            raise QuestionError(
                f"--questions: expected one weight of {question.benchmark}, which is weighed as a whole, found "
                f"{before:g} and {question.weight:g}; give its sources the same weight="
            )


def _what_there_is(share: Mapping[Any, Sequence[Question]]) -> str:
    """How many questions each split of a source has, and what to do."""
    number = sum(map(len, share.values()))
    if not number:
        return "there is no question at all; give the official files"
    counts = ", ".join(f"{name} {len(members)}" for name, members in share.items())
    return (
        f"its {number} questions are split into {counts}: choose another split, or give questions about at least "
        f"{len(SPLITS)} pictures (or groups)"
    )


def load_asked(specs: Sequence[str]) -> dict[str, list[Question]]:
    """What was asked instead of a corrected edition, by the name of that: the questions behind ``asked=PATH``.

    Raises:
        QuestionError: a spec or file that cannot be read.
    """
    found: dict[str, list[Question]] = {}
    for source in map(parse_source, specs):
        if "asked" in source.options:
            corrected = BENCHMARKS[source.name].corrects
            assert corrected is not None, "parse_source allows asked= of corrected editions only"
            how = Loading(options={}, need_images=False)
            asked = BENCHMARKS[corrected].load(Path(source.options["asked"]), how)
            found.setdefault(source.name, []).extend(asked)
    return found


def _taken(questions: Sequence[Question], source: Source, seed: int) -> list[Question]:
    """As many of a split's questions as the source counts, with its weight."""
    few = at_most(questions, source.count, seed=seed)
    return few if source.weight == 1 else [replace(question, weight=source.weight) for question in few]


def _shares(
    sources: Sequence[Source],
    split: Split | Literal["all"],
    cache: Path,
    seed: int,
    skip_bad: SkipBad | None,
    *,
    need_images: bool,
) -> Sequence[Mapping[Any, list[Question]]]:
    """What each source has by split; undivided, as it stands in the files, where all is wanted and none left out."""
    if split == "all" and all(source.count is None for source in sources):
        return [
            _load_world(source, cache, SPLITS)
            if source.name == TOYWORLD
            else {"all": _load_files(source, cache, skip_bad, need_images=need_images)}
            for source in sources
        ]
    wanted = SPLITS if split == "all" else (split,)
    return _divided(sources, wanted, cache, seed, skip_bad, need_images=need_images)


def _divided(
    sources: Sequence[Source],
    wanted: Sequence[Split],
    cache: Path,
    seed: int,
    skip_bad: SkipBad | None,
    *,
    need_images: bool,
) -> list[dict[Split, list[Question]]]:
    """Every source by split, no picture in two of them; of the embedded world alone only those that are wanted."""
    files = [
        _load_files(source, cache, skip_bad, need_images=need_images)
        for source in sources
        if source.name != TOYWORLD
    ]
    names = SPLITS if files else wanted
    worlds = [_load_world(source, cache, names) for source in sources if source.name == TOYWORLD]
    divided = iter(divide_together(files, seed=seed, fixed=worlds) if files else ())
    drawn = iter(worlds)
    return [next(drawn if source.name == TOYWORLD else divided) for source in sources]


def _load_world(source: Source, cache: Path, splits: Sequence[Split]) -> dict[Split, list[Question]]:
    """Splits of the embedded world, which is drawn where it is not there."""
    root = toyworld.write(source.path or cache / TOYWORLD)
    return {split: toyworld.load(root, split) for split in splits}


def _load_files(
    source: Source, cache: Path, skip_bad: SkipBad | None, *, need_images: bool
) -> list[Question]:
    """Every question of a source that has files."""
    assert source.path is not None, "parse_source demands a path"
    images = source.options.get("images")
    how = Loading(
        images=None if images is None else Path(images),
        options=source.options,
        skip_bad=skip_bad,
        need_images=need_images,
        cache=cache,
    )
    if source.name == PHOTOS:
        questions = load_photos(source.path, how)
    else:
        own = partial(load_own, role=source.role)
        questions = (own if source.name == OWN else BENCHMARKS[source.name].load)(source.path, how)
    if need_images and (source.name == PHOTOS or {*OPTIONS} <= {*allowed_options(source.name)}):
        _warn_of_turned(pictures_of(questions))
    return questions


def _warn_of_turned(pictures: Collection[Path]) -> None:
    """Says how many of a person's own pictures models are going to see on their side."""
    if lying := turned(sorted(pictures)):
        warn(
            f"{len(lying)} of {len(pictures)} pictures carry an EXIF rotation, which is not applied, such as "
            f"{lying[0]}; turn them for good with ImageMagick's `mogrify -auto-orient` or Pillow's "
            "ImageOps.exif_transpose"
        )
