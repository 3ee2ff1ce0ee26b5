"""What a user writes to name questions, and the questions it names.

=============================================== ==========================================================
``toyworld``                                    the embedded world, drawn once into the cache
``toyworld:DIR``                                the same in a folder of your own, drawn if missing
``pope:PATH[,images=DIR]``                      official POPE: one file, or a folder with all subsets
``scienceqa:PATH[,split=NAME][,images=DIR]``    official ScienceQA: the folder, or LLaVA's flattened file
=============================================== ==========================================================

The toyworld has splits of its own. The official benchmarks are divided by :func:`~.splits.assign` into
calibration, search, validation, recovery and test, no picture in two of them, so a plan found on one
split is measured on another. ``"all"`` asks for everything a spec names: the whole official file, whose
number can be compared with published ones *provided that no stage of the run has seen that file*. For
ScienceQA, search on ``split=train`` and evaluate all of ``split=test``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from hipp_prune.errors import QuestionError
from hipp_prune.questions import toyworld
from hipp_prune.questions.benchmarks import pope, scienceqa
from hipp_prune.questions.images import check_images
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.splits import SPLITS, Split, assign

Source = Literal["toyworld", "pope", "scienceqa"]
"""Where questions may come from."""

_OPTIONS: dict[Source, tuple[str, ...]] = {
    "toyworld": (),
    "pope": ("images",),
    "scienceqa": ("split", "images"),
}
_FORMS = "toyworld, toyworld:DIR, pope:PATH[,images=DIR] or scienceqa:PATH[,split=NAME][,images=DIR]"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A parsed spec string."""

    source: Source
    """The benchmark, or the embedded world."""
    path: Path | None = None
    """The official file or folder; None means the toyworld in the cache."""
    images: Path | None = None
    """The folder with the pictures; None means the one beside the questions."""
    split: str = "test"
    """ScienceQA's official split (a key of ``pid_splits.json``)."""


def parse_spec(text: str) -> Spec:
    """Read one spec string. A path may contain colons but no comma.

    Raises:
        QuestionError: unknown source, missing path, or an option the source does not have.
    """
    name, _, rest = text.partition(":")
    source = next((known for known in get_args(Source) if known == name), None)
    if source is None:
        raise QuestionError(
            f"questions {text!r}: expected {_FORMS}, found source {name!r}; write one of these"
        )
    path, *pairs = rest.split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        option, _, value = pair.partition("=")
        if option not in _OPTIONS[source] or not value or option in options:
            allowed = " or ".join(f"{option}=…" for option in _OPTIONS[source]) or "no option"
            raise QuestionError(
                f"questions {text!r}: expected {allowed}, each once, found {pair!r}; correct it"
            )
        options[option] = value
    if not path and (source != "toyworld" or ":" in text):
        raise QuestionError(f"questions {text!r}: expected a path after '{source}:', found none; add it")
    return Spec(
        source=source,
        path=Path(path) if path else None,
        images=Path(options["images"]) if "images" in options else None,
        split=options.get("split", "test"),
    )


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
        loaded = _load(parse_spec(text), split, cache, seed, skip_bad, need_images=need_images)
        if need_images:
            loaded = check_images(loaded, skip_bad)
        if not loaded:
            raise QuestionError(
                f"questions {text!r}: expected some in split {split}, found none; give more of them"
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


def _load(
    spec: Spec,
    split: Split | Literal["all"],
    cache: Path,
    seed: int,
    skip_bad: SkipBad | None,
    *,
    need_images: bool,
) -> list[Question]:
    if spec.source == "toyworld":
        root = toyworld.write(spec.path or cache / "toyworld")
        wanted = SPLITS if split == "all" else (split,)
        return [question for name in wanted for question in toyworld.load(root, name)]
    assert spec.path is not None, "parse_spec demands a path"
    if spec.source == "pope":
        questions = pope.load(spec.path, spec.images, skip_bad=skip_bad, need_images=need_images)
    else:
        questions = scienceqa.load(spec.path, spec.split, images=spec.images, skip_bad=skip_bad)
    return questions if split == "all" else assign(questions, seed=seed)[split]
