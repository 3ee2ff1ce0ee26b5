"""What a user writes to name questions, and the questions it names.

=============================================== ==========================================================
``toyworld``                                    the embedded world, drawn once into the cache
``toyworld:DIR``                                the same in a folder of your own, drawn if missing
``NAME:PATH[,images=DIR][,OPTION=VALUE]``       a benchmark's official file or folder
=============================================== ==========================================================

``NAME`` is one of ``questions.benchmarks``, e.g. ``pope`` or ``scienceqa``, whose option ``split`` is a key of
``pid_splits.json``. The corrected edition of a benchmark has an option ``asked``: the edition of that benchmark which
stored answers were asked, where only answers are scored.

The toyworld has splits of its own. The official benchmarks are divided by :func:`~.splits.assign` into
calibration, search, validation, recovery and test, no picture in two of them, so a plan found on one
split is measured on another. ``"all"`` asks for everything a source names: the whole official file, whose
number can be compared with published ones *provided that no stage of the run has seen that file*. Where a benchmark has
official splits, search on one (``split=train``) and evaluate all of another (``split=test``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hipp_prune.errors import QuestionError
from hipp_prune.questions import toyworld
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.questions.images import check_images
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.splits import SPLITS, Split, assign

TOYWORLD = "toyworld"
"""The source that is no benchmark: it draws the official files of several."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source of questions, as ``--questions`` names it: ``NAME:PATH,option=value``."""

    name: str
    """A benchmark, or the embedded world."""
    path: Path | None = None
    """The official file or folder; None means the toyworld in the cache."""
    options: Mapping[str, str]
    """What follows the path, by name."""


def parse_source(text: str) -> Source:
    """Reads one source. A path may contain colons but no comma.

    Raises:
        QuestionError: unknown name, missing path, or an option the benchmark does not have.
    """
    name, _, rest = text.partition(":")
    if name != TOYWORLD and name not in BENCHMARKS:
        raise QuestionError(
            f"questions {text!r}: expected {_forms()}, found source {name!r}; write one of these"
        )
    allowed = () if name == TOYWORLD else BENCHMARKS[name].source_options
    path, *pairs = rest.split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        option, _, value = pair.partition("=")
        if option not in allowed or not value or option in options:
            known = " or ".join(f"{option}=…" for option in allowed) or "no option"
            raise QuestionError(
                f"questions {text!r}: expected {known}, each once, found {pair!r}; correct it"
            )
        options[option] = value
    if not path and (name != TOYWORLD or ":" in text):
        raise QuestionError(f"questions {text!r}: expected a path after '{name}:', found none; add it")
    return Source(name=name, path=Path(path) if path else None, options=options)


def _forms() -> str:
    """The forms that a source may have."""
    forms = [
        f"{name}:PATH{''.join(f'[,{option}=…]' for option in benchmark.source_options)}"
        for name, benchmark in BENCHMARKS.items()
    ]
    return f"{TOYWORLD}, {TOYWORLD}:DIR, {', '.join(forms[:-1])} or {forms[-1]}"


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
        QuestionError: a spec or file that cannot be read, no question in the split, or one id twice.
        ImageError: pictures that are missing or cannot be decoded.
    """
    questions: list[Question] = []
    owners: dict[str, str] = {}
    for text in specs:
        loaded = _load(parse_source(text), split, cache, seed, skip_bad, need_images=need_images)
        if need_images:
            loaded = check_images(loaded, skip_bad)
        if not loaded:
            raise QuestionError(
                f"questions {text!r}: expected some in split {split}, found none; "
                + _what_there_is(parse_source(text), cache, seed, need_images=need_images)
            )
        for question in loaded:
            if question.id in owners:
                raise QuestionError(
                    f"questions {text!r}: expected every id once, found {question.id} again "
                    f"(first in {owners[question.id]!r}); give one of them at a time"
                )
            owners[question.id] = text
        questions += loaded
    return questions


def _what_there_is(source: Source, cache: Path, seed: int, *, need_images: bool) -> str:
    """How many questions each split has, and what to do; bad records are left out of the count."""
    found = _load(source, "all", cache, seed, SkipBad(), need_images=need_images)
    if not found:
        return "there is no question at all; give the official files"
    counts = ", ".join(f"{name} {len(members)}" for name, members in assign(found, seed=seed).items())
    return f"its {len(found)} questions are split into {counts}: choose another split, or give more questions"


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


def _load(
    source: Source,
    split: Split | Literal["all"],
    cache: Path,
    seed: int,
    skip_bad: SkipBad | None,
    *,
    need_images: bool,
) -> list[Question]:
    if source.name == TOYWORLD:
        root = toyworld.write(source.path or cache / TOYWORLD)
        wanted = SPLITS if split == "all" else (split,)
        return [question for name in wanted for question in toyworld.load(root, name)]
    assert source.path is not None, "parse_source demands a path"
    images = source.options.get("images")
    how = Loading(
        images=None if images is None else Path(images),
        options=source.options,
        skip_bad=skip_bad,
        need_images=need_images,
        cache=cache,
    )
    questions = BENCHMARKS[source.name].load(source.path, how)
    return questions if split == "all" else assign(questions, seed=seed)[split]
