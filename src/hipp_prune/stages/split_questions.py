"""The questions of every stage, read before any is begun: how many, about how many pictures, and how long they are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from hipp_prune.errors import HippPruneError, QuestionError
from hipp_prune.evaluation.asserted_objects import OBJECTS_ASKED
from hipp_prune.evaluation.scorecard import limit_questions
from hipp_prune.models.described import picture_tokens, prompt_tokens
from hipp_prune.questions.benchmarks import asked as asked_benchmarks
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question, pictures_of
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions, load_splits
from hipp_prune.questions.specs import is_drawn
from hipp_prune.stages.probing import clocked
from hipp_prune.stages.rates import Amount, Lengths
from hipp_prune.stages.settings import CalibrateSettings, EvaluateSettings

_TYPICAL = {
    "calibration": (128, 24),
    "search": (2500, 400),
    "test": (4500, 600),
    "recovery": (2500, 400),
    "timed": (256, 200),
}
"""Questions and pictures of each split where none are named: those of the embedded world, about."""
_SIZE = (640, 480)
"""Width and height of a picture where none is at hand."""
_Found = TypeVar("_Found")


class SplitQuestions:
    """The questions of each stage, and the seconds that reading them took; typical numbers where none are named.

    Args:
        specs: of the questions.
        cache: where the embedded world is drawn.
        calibrate: how many are drawn.
        evaluate: which split is asked at the end.
        refused: gets a sentence for questions that cannot be read.
        recovers: whether there is a recovery.
        skip_bad: whether broken questions and pictures are left out.
        timed: test questions, at most, by which two models are timed; 0 where none are.
    """

    def __init__(
        self,
        specs: Sequence[str],
        cache: Path,
        calibrate: CalibrateSettings,
        evaluate: EvaluateSettings,
        refused: list[str],
        *,
        recovers: bool,
        skip_bad: bool = False,
        timed: int = 0,
    ) -> None:
        self.questions: dict[str, list[Question]] = {}
        self.seconds: dict[str, float] = {}
        self._counted = True
        wanted: dict[str, Any] = {"calibration": "calibration", "search": "search", "test": evaluate.split}
        wanted |= {"recovery": "recovery"} if recovers else {}
        how: dict[str, Any] = {
            "cache": cache, "seed": calibrate.seed, "skip_bad": SkipBad() if skip_bad else None
        }  # fmt: skip
        if specs:
            self._survey(refused, any(map(is_drawn, specs)), lambda: load_splits(specs, **how))
        for name, split in wanted.items() if specs else ():
            self._read(refused, name, lambda split=split: load_questions(specs, split, **how))  # type: ignore[misc]
        if any(each.is_unlabelled for questions in self.questions.values() for each in questions):
            self._read(refused, "all", lambda: load_questions(specs, "all", **how))
        if "calibration" in self.questions:
            self.questions["calibration"] = calibration_sample(
                self.questions["calibration"], calibrate.count, seed=calibrate.seed
            )
        if "test" in self.questions:
            if timed:
                each = max(1, timed // len(asked_benchmarks(self.questions["test"])))
                self.questions["timed"] = limit_questions(self.questions["test"], each)
            self.questions["test"] = limit_questions(
                self.questions["test"], evaluate.limit, seed=evaluate.seed
            )
        self._wanted = wanted.keys()
        self._most = {"calibration": calibrate.count, "timed": timed}

    def _survey(self, refused: list[str], draws: bool, count: Callable[[], object]) -> None:
        """Times the counting of every split, and apart from it the drawing of the embedded world before."""
        first = tried(refused, lambda: clocked(count))
        self._counted = first is not None
        if first is not None:
            again = clocked(count) if draws else first
            self.seconds |= {"survey": again, "drawing": max(0.0, first - again)}

    def _read(self, refused: list[str], name: str, read: Callable[[], list[Question]]) -> None:
        """Keeps the questions of a name, and how long reading them took.

        What the survey has refused is not refused once more for every split.
        """
        found: list[Question] = []

        def clock() -> float | None:
            try:
                return clocked(lambda: found.extend(read()))
            except QuestionError:
                if self._counted:
                    raise
                return None

        if (seconds := tried(refused, clock)) is not None:
            self.questions[name], self.seconds[name] = found, seconds

    def asked(self, name: str) -> Amount:
        """How many questions and pictures a split has, at most where the dense model makes some of them."""
        if name not in self.questions:
            questions, pictures = _TYPICAL[name]
            if name == "calibration":
                questions, pictures = self._most[name], min(self._most[name], pictures)
            return Amount(questions=questions, pictures=pictures)
        chosen = self.questions[name]
        number = len(chosen) + 2 * OBJECTS_ASKED * _without_answer(chosen).pictures
        return Amount(
            questions=min(number, self._most.get(name, number)),
            pictures=len(pictures_of(chosen)),
            together=len({question.images for question in chosen if question.images}),
        )

    @property
    def is_guessed(self) -> bool:
        """Whether the questions of some split are not known, so that a typical number stands for them."""
        return not self.questions.keys() >= self._wanted

    @property
    def drawn(self) -> dict[str, list[Question]]:
        """The questions of the splits that stages ask, as many as they ask."""
        return {name: found for name, found in self.questions.items() if name not in ("all", "timed")}

    def reading(self, *names: str) -> float:
        """Seconds that reading splits took, their ``survey``, and the ``drawing`` of the embedded world."""
        return sum(self.seconds.get(name, 0.0) for name in names)

    @property
    def unlabelled(self) -> Amount:
        """What comes without an answer, whatever its split."""
        return _without_answer(self.questions.get("all", ()))

    def lengths(self, folder: Path) -> Lengths:
        """Tokens of a typical question."""
        some = [question for questions in self.questions.values() for question in questions[:32]]
        shown = [question.images for question in some if question.images]
        paths = [path for images in shown for path in images]
        prompts = [question.prompt for question in some] or ["Is there a dog in the image?"]
        size = _SIZE
        if paths:
            with Image.open(paths[len(paths) // 2]) as picture:
                size = picture.size
        return Lengths(
            picture=picture_tokens(folder, size),
            text=prompt_tokens(folder, prompts),
            pictures=len(paths) / len(shown) if shown else 1.0,
        )


def _without_answer(questions: Sequence[Question]) -> Amount:
    """How many questions come without an answer, about how many pictures."""
    chosen = [question for question in questions if question.is_unlabelled]
    return Amount(questions=len(chosen), pictures=len(pictures_of(chosen)))


def tried(refused: list[str], work: Callable[[], _Found]) -> _Found | None:
    """What work comes to; None where it is refused, and why among the refusals."""
    try:
        return work()
    except HippPruneError as error:
        refused.append(str(error))
        return None
