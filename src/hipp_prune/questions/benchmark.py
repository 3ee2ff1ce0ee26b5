"""What a benchmark is: the questions of one origin, how their answers are read and scored, and the role they serve."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.questions.intervals import Interval
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad

Role = Literal["robustness", "utility"]
"""What a benchmark's answers count for, R_rob or R_util: one of the first two objectives."""
ROLES: tuple[Role, ...] = get_args(Role)
"""In the order of the objectives."""

Rule = Literal["official", "lmms-eval", "vlmevalkit"]
"""Whose reading of an answer, where harnesses disagree; a benchmark that has one reading only takes it for all."""

RESTORE = "score again with `hipp-prune evaluate`"
"""What the sentence about damaged scores ends with."""

Column = tuple[str, str, str]
"""A number of the results table: name, unit (``%`` or empty), text."""


class Score(Protocol):
    """What a model scored on one benchmark."""

    @property
    def n(self) -> int:
        """Questions asked."""

    @property
    def accuracy(self) -> float:
        """The one number to compare models by, in [0, 1]."""

    @property
    def chance(self) -> float:
        """``accuracy`` of guessing, in [0, 1]."""

    @property
    def interval(self) -> Interval:
        """95% interval of ``accuracy``."""

    @property
    def remark(self) -> str:
        """A line below the table; empty for none."""

    def rows(self) -> list[tuple[str, ...]]:
        """The official table to print: the header, then a row a subset or part."""

    def columns(self) -> list[Column]:
        """What stands of it in a table of several models."""

    def to_json(self) -> dict[str, Any]:
        """Counts, and the metrics that follow from them for other programs to read."""


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How a benchmark's files are read."""

    images: Path | None = None
    """The folder with the pictures; None means the one beside the questions."""
    options: Mapping[str, str]
    """What the source says besides, by the names in ``Benchmark.options``."""
    skip_bad: SkipBad | None = None
    """Counts bad records and leaves them out; None makes them errors."""
    need_images: bool = True
    """False where answers are scored and no picture is opened."""
    cache: Path = Path()
    """Where pictures are written that come without a file; nothing is where ``need_images`` is False."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One module of ``questions.benchmarks``; all that the rest of the package knows of it."""

    name: str
    """What a source begins with, e.g. ``pope`` in ``pope:DIR``; also ``Question.benchmark``."""
    title: str
    """As its authors write it."""
    role: Role
    explanation: str = ""
    """What it asks and who does well, for readers who have never heard of it; nothing where it is empty."""
    options: tuple[str, ...] = ()
    """Names that may follow the path of a source as ``,NAME=VALUE``, besides those that go by
    themselves (``source_options``)."""
    instruction: str
    """What the official prompt ends with, the same for all questions; empty where each has its own."""
    load: Callable[[Path, Loading], list[Question]]
    """Every question of an official file or folder."""
    parse: Callable[[Question, str, Rule], int | None]
    """Index into ``Question.answers`` that a model's text means, or None."""
    score: Callable[[Sequence[Question], Sequence[int | None], Rule], Score]
    """The official score of predictions, paired with the questions by position."""
    restore: Callable[[Mapping[str, Any], str], Score]
    """The score that ``Score.to_json`` described; an InputError that begins with the second argument if it is none."""
    mean: Callable[[Floats, Ints], float]
    """How values of its questions [Q] with gold indices [Q] become one: returns (Eq. 11) and accuracy alike."""
    stratum: Callable[[Question], Hashable]
    """What minibatches are balanced by."""
    aliases: Callable[[Sequence[Question]], Mapping[str, Question]]
    """Other ids under which stored answers name these questions."""
    of_dense: bool = False
    """Whether its answers are the dense model's own: what is scored is agreement with that, and its title says so."""
    brings: str | None = None
    """Name of the benchmark of yes/no questions that the dense model is asked too, about the pictures of unlabelled
    questions of this one."""
    corrects: str | None = None
    """Name of the benchmark of which this is a corrected edition: the same questions, fewer and with other labels, so
    that answers to the one score the other. Its sources take ``asked=PATH``, the edition that was asked."""

    @property
    def source_options(self) -> tuple[str, ...]:
        """Names that may follow the path of a source."""
        return (*self.options, "images", *(("asked",) if self.corrects else ()))
