"""DASH-B's questions → Questions, and their official score.

DASH-B (Augustin, Neuhaus and Hein 2025, github.com/YanNeu/DASH-B) asks whether an object is in a picture: half of the
pictures lack it but make vision-language models see it, half show it. The lists ``images/dash_benchmark_neg.json`` and
``…_pos.json`` are objects of data set → object → file names (``src/data/dash_b.py``); pictures lie in
``images/{neg,pos}/DATASET/OBJECT/``.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hipp_prune.errors import QuestionError
from hipp_prune.files.reading import read_document
from hipp_prune.questions.benchmark import Benchmark, Column, Loading, Rule
from hipp_prune.questions.image_folders import image_folder
from hipp_prune.questions.intervals import percent
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import Name
from hipp_prune.questions.yes_no import YES_NO, YesNoCounts, class_balanced_mean, ratio
from hipp_prune.questions.yes_no_parts import ALL, YesNoParts, count_parts, restore_parts

NAME, TITLE = "dash_b", "DASH-B"

INSTRUCTION = " Please answer only with yes or no."

_GOLD = {"neg": 1, "pos": 0}
"""Index of the right answer, by list; in the official order."""

_List = dict[Name, dict[Name, list[Name]]]
"""File names by data set and object."""


def load(root: Path, images: Path | None = None, *, need_images: bool = True) -> list[Question]:
    """Every question, in the official order.

    Args:
        root: the official folder ``images``, with both lists.
        images: the folder with ``neg`` and ``pos``; by default ``root``.
        need_images: False where answers are scored and no picture is opened.

    Raises:
        QuestionError: a list is missing, not of the official form, or names a picture twice. A list is one record:
            nothing in it can be skipped.
        ImageError: ``need_images`` and there is no folder with pictures.
    """
    folder = image_folder(images, [root], title=TITLE, name=NAME, need_images=need_images)
    questions: dict[str, Question] = {}
    for side in _GOLD:
        path = root / f"dash_benchmark_{side}.json"
        listed = read_document(
            path, _List, remedy="give the official file", error=QuestionError, foreign=True
        )
        for question in _questions(listed, side, folder):
            if question.id in questions:
                raise QuestionError(
                    f"{path}: expected every picture once, found {question.id} again; remove it"
                )
            questions[question.id] = question
    if not questions:
        raise QuestionError(
            f"{root}: expected {TITLE} questions, found empty lists; give the official folder images"
        )
    return list(questions.values())


def _questions(listed: _List, side: str, images: Path) -> Iterator[Question]:
    for data_set, objects in listed.items():
        for shown, files in objects.items():
            for file in files:
                place = f"{side}/{data_set}/{shown}/{file}"
                yield Question(
                    benchmark=NAME,
                    id=f"{NAME}/{place}",
                    prompt=f"Can you see a {shown} in this image?{INSTRUCTION}",
                    images=(images / place,),
                    answers=YES_NO,
                    gold=_GOLD[side],
                    subset=data_set,
                    group=str(images / place),
                )


def parse(question: Question, text: str, _rule: Rule = "official") -> int | None:
    """Index of the answer that a text means: Yes where ``yes`` stands anywhere in it, else No where ``no`` does."""
    said = next((answer for answer in YES_NO if answer.lower() in text.lower()), None)
    return None if said is None else question.answers.index(said)


@dataclass(frozen=True, kw_only=True)
class OfficialRates:
    """What ``src/eval_utils.py`` writes, in [0, 1]; where it divides by zero, 0."""

    acc: float
    tnr: float
    """Share of answers No where the object is absent."""
    tpr: float
    """Share of answers Yes where it is present."""
    harmonic_mean: float
    """Of ``tpr`` and ``tnr``."""

    @classmethod
    def of(cls, counts: YesNoCounts) -> "OfficialRates":
        """The metrics that follow from counts."""
        tnr = ratio(counts.tn, counts.tn + counts.fp + counts.failed_no)
        tpr = ratio(counts.tp, counts.tp + counts.fn + counts.failed_yes)
        return cls(acc=counts.accuracy, tnr=tnr, tpr=tpr, harmonic_mean=ratio(2 * tpr * tnr, tpr + tnr))


@dataclass(frozen=True, kw_only=True)
class DashBScore(YesNoParts):
    """The score of DASH-B; ``accuracy`` is the balanced one, which is the official one where all is asked."""

    def rows(self) -> list[tuple[str, ...]]:
        """A row for all and a row a data set: the official metrics, then balanced accuracy; percentages."""
        metrics = ("ACC", "TNR", "TPR", "harm.")
        return self.table(
            TITLE, metrics, lambda part: map(percent, asdict(OfficialRates.of(self.parts[part])).values())
        )

    def columns(self) -> list[Column]:
        """Balanced accuracy, chance, both rates and their harmonic mean, the number of questions."""
        official = OfficialRates.of(self.parts[ALL])
        return self.summary(
            ("TNR", "%", percent(official.tnr)),
            ("TPR", "%", percent(official.tpr)),
            ("harmonic mean", "%", percent(official.harmonic_mean)),
        )

    def to_json(self) -> dict[str, Any]:
        """Counts and official metrics of each part, and the intervals."""
        return self.document(TITLE, lambda part: {"official": asdict(OfficialRates.of(self.parts[part]))})


def score(
    questions: Sequence[Question], predictions: Sequence[int | None], rule: Rule = "official"
) -> DashBScore:
    """Counts of all and by data set."""
    data_sets = dict.fromkeys(question.subset for question in questions)
    return DashBScore(**count_parts(questions, predictions, rule, data_sets))


def restore(content: Mapping[str, Any], where: str) -> DashBScore:
    """The score that ``DashBScore.to_json`` described; metrics are computed again from the counts.

    Raises:
        InputError: it is something else; the sentence begins with ``where``.
    """
    return restore_parts(content, DashBScore, where)


def stratum(question: Question) -> Hashable:
    """Data set and label: minibatches are balanced by both."""
    return question.subset, question.gold


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:
    """By the official place of the picture, ``neg/coco/bed/1.png``."""
    return {question.id.partition("/")[2]: question for question in questions}


def _load(path: Path, how: Loading) -> list[Question]:
    return load(path, how.images, need_images=how.need_images)


BENCHMARK = Benchmark(
    name=NAME,
    title=TITLE,
    role="robustness",
    explanation="asks whether an object is in a picture; half of the pictures lack it but make models see it.",
    instruction=INSTRUCTION,
    load=_load,
    parse=parse,
    score=score,
    restore=restore,
    mean=class_balanced_mean,
    stratum=stratum,
    aliases=aliases,
)
