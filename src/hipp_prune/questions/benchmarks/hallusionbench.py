"""HallusionBench's questions → Questions, and their official score.

HallusionBench (Guan et al. 2024, github.com/tianyi-lab/HallusionBench) asks yes/no questions about charts, maps and
illusions, as they are and edited. ``HallusionBench.json``, described in README.md there, is an array of ``category``
(``VD``: nobody can answer without the picture; ``VS``: the picture adds to what is known), ``subcategory``, ``set_id``,
``figure_id``, ``question_id``, ``visual_input`` (0: no picture, 1: the original, 2: an edited one), ``question``,
``gt_answer`` (0 or 1) and ``filename``. Pictures lie in the folder ``hallusion_bench``.

The official scripts (``evaluation.py``, ``utils.py``) let GPT-4 judge whether an answer is right, wrong or unclear.
Here a text is read as VLMEvalKit does without a judge (``utils/yorn.py``): it says yes or no if that word is in it and
the other is not. From there on the counting is theirs.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from annotated_types import Len, Predicate

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.questions.benchmark import RESTORE, Benchmark, Column, Loading, Rule
from hipp_prune.questions.image_folders import image_folder
from hipp_prune.questions.intervals import percent
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import CORRECT_OR_SKIP, Name, SkipBad, read_records, skip_or_raise
from hipp_prune.questions.yes_no import YES_NO, class_balanced_mean, parse_yes_no
from hipp_prune.questions.yes_no_parts import (
    ALL,
    Fraction,
    YesNoParts,
    all_right,
    as_share,
    count_parts,
    is_of,
    restore_parts,
)

NAME, TITLE = "hallusionbench", "HallusionBench"

INSTRUCTION = "\nAnswer the question using a single word or phrase."
"""HallusionBench words no instruction; this is what LLaVA-1.5 appends to such questions."""

FILE = "HallusionBench.json"

_PARTS = ("VD", "VS")
"""Visual dependent, visual supplement: the official categories."""

_IMAGE_FOLDERS = ("hallusion_bench", "images")
_EASY, _HARD = "easy", "hard"


def load(
    root: Path, images: Path | None = None, *, skip_bad: SkipBad | None = None, need_images: bool = True
) -> list[Question]:
    """Every question, in the official order.

    Args:
        root: the folder with ``HallusionBench.json``.
        images: the folder with the pictures, in which ``VD`` and ``VS`` lie; by default ``hallusion_bench`` or
            ``images`` in ``root`` or beside it.
        skip_bad: counts bad records and leaves them out; None makes them errors.
        need_images: False where answers are scored and no picture is opened.

    Raises:
        QuestionError: the official file is missing; a record lacks a field, has a wrong one or ids that came before.
        ImageError: ``need_images`` and there is no folder with pictures.
    """
    candidates = [parent / name for parent in (root, root.parent) for name in _IMAGE_FOLDERS]
    folder = image_folder(images, candidates, title=TITLE, name=NAME, need_images=need_images)
    questions: dict[str, Question] = {}
    for where, record in read_records(root / FILE, _Record, skip_bad):
        try:
            question = _question(record, where, folder)
            if question.id in questions:
                raise QuestionError(
                    f"{where}: expected every question once, found {question.id} again; remove it"
                )
        except QuestionError as error:
            skip_or_raise(error, skip_bad)
            continue
        questions[question.id] = question
    if not questions:
        raise QuestionError(f"{root}: expected {TITLE} questions, found none; give the folder with {FILE}")
    return list(questions.values())


_Number = Annotated[str, Len(1, 9), Predicate(str.isdecimal)]


@dataclass(frozen=True, kw_only=True)
class _Record:
    """A record of ``HallusionBench.json``."""

    category: Literal["VD", "VS"]
    subcategory: Name
    visual_input: Literal["0", "1", "2"]
    set_id: _Number
    figure_id: _Number
    question_id: _Number
    question: str
    gt_answer: Literal["0", "1"]
    filename: Name | None


def _question(record: _Record, where: str, images: Path) -> Question:
    if (record.filename is None) != (record.visual_input == "0"):
        raise QuestionError(
            f"{where}: expected a filename where visual_input is 1 or 2 and null where it is 0, found visual_input "
            f"{record.visual_input}; {CORRECT_OR_SKIP}"
        )
    knowledge = f"{NAME}/{record.category}/{record.subcategory}/{record.set_id}"
    return Question(
        benchmark=NAME,
        id=f"{knowledge}/{record.figure_id}/{record.question_id}",
        prompt=record.question + INSTRUCTION,
        images=() if record.filename is None else (_picture(record.filename, images),),
        answers=YES_NO,
        gold=("1", "0").index(record.gt_answer),
        subset=record.category,
        group=knowledge,
        tags=frozenset({_HARD if record.visual_input == "2" else _EASY}),
    )


def _picture(filename: str, images: Path) -> Path:
    """``./VD/math/0_1.png`` below the folder, with or without the name that the folder has in the official archive."""
    parts = PurePosixPath(filename).parts
    return images.joinpath(*(parts[1:] if parts[:1] == _IMAGE_FOLDERS[:1] else parts))


def parse(question: Question, text: str, rule: Rule = "official") -> int | None:
    """Index of the answer that a text means.

    ``official`` and ``vlmevalkit`` read as VLMEvalKit does, because the official judge is GPT-4; ``lmms-eval`` takes a
    text with ``yes`` anywhere for a yes and any other for a no (its function for scoring without a judge).
    """
    said_yes = "yes" in text.lower() if rule == "lmms-eval" else parse_yes_no(text, "vlmevalkit")
    return None if said_yes is None else question.answers.index("Yes" if said_yes else "No")


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Right and counted, of one category or all; the names are the leaderboard's."""

    aAcc: Fraction
    """Single questions that are answered rightly, whatever the others about the same picture."""
    fAcc: Fraction
    """Pictures all questions about which are right; questions without one are left out."""
    qAcc: Fraction
    """Question pairs: one text asked about the original and the edited pictures of a set, and without any."""
    easy: Fraction
    """Pairs, of questions without a picture or about an original one."""
    hard: Fraction
    """Pairs, of questions about an edited picture."""


@dataclass(frozen=True, kw_only=True)
class HallusionBenchScore(YesNoParts):
    """The score of HallusionBench; ``accuracy`` is balanced accuracy over all questions, unread answers wrong."""

    official: dict[str, Leaderboard]
    """Right and counted, by part."""

    @property
    def remark(self) -> str:
        """How many answers could not be read, and what becomes of them."""
        counts = self.parts[ALL]
        unclear = (
            ", officially right where a VS question shows no picture" if counts.rule == "official" else ""
        )
        return f"neither Yes nor No: {counts.failed} answers{unclear}" if counts.failed else ""

    def rows(self) -> list[tuple[str, ...]]:
        """A row a category: the official percentages, then balanced accuracy."""
        metrics = ("aAcc", "fAcc", "qAcc", "easy aAcc", "hard aAcc")
        return self.table(
            TITLE,
            metrics,
            lambda part: (percent(as_share(counted)) for counted in _tallies(self.official[part]).values()),
        )

    def columns(self) -> list[Column]:
        """Balanced accuracy, chance, the three official accuracies, the number of questions."""
        official = _tallies(self.official[ALL])
        return self.summary(
            *((metric, "%", percent(as_share(official[metric]))) for metric in ("aAcc", "fAcc", "qAcc"))
        )

    def to_json(self) -> dict[str, Any]:
        """Counts of each part, right and counted of each official accuracy, and the intervals."""
        official = {part: asdict(metrics) for part, metrics in self.official.items()}
        return {**self.document(TITLE, lambda _: {}), "official": official}


def _tallies(metrics: Leaderboard) -> dict[str, Fraction]:
    return asdict(metrics)


def score(
    questions: Sequence[Question], predictions: Sequence[int | None], rule: Rule = "official"
) -> HallusionBenchScore:
    """Counts by category.

    Officially an unclear answer is right where there is no picture to a ``VS`` question, and so is an unread one here;
    the other rules, and balanced accuracy, count it as wrong.
    """
    right = [
        prediction == question.gold
        or (rule == "official" and prediction is None and question.subset == "VS" and not question.images)
        for question, prediction in zip(questions, predictions, strict=True)
    ]
    counted = count_parts(questions, predictions, rule, _PARTS)
    judged = list(zip(questions, right, strict=True))
    official = {
        part: _metrics([(each, good) for each, good in judged if is_of(each, part)])
        for part in counted["parts"]
    }
    return HallusionBenchScore(**counted, official=official)


def _metrics(judged: Sequence[tuple[Question, bool]]) -> Leaderboard:
    """Of questions and whether their answers are right."""

    def pairs(members: Iterable[tuple[Question, bool]]) -> Fraction:
        rows = list(members)
        return all_right(
            ((each.group, each.id.rpartition("/")[2]) for each, _ in rows), (right for _, right in rows)
        )

    seen = [(each, right) for each, right in judged if each.images]
    return Leaderboard(
        aAcc=(sum(right for _, right in judged), len(judged)),
        fAcc=all_right((each.id.rpartition("/")[0] for each, _ in seen), (right for _, right in seen)),
        qAcc=pairs(judged),
        easy=pairs(pair for pair in judged if _HARD not in pair[0].tags),
        hard=pairs(pair for pair in judged if _HARD in pair[0].tags),
    )


def restore(content: Mapping[str, Any], where: str) -> HallusionBenchScore:
    """The score that ``HallusionBenchScore.to_json`` described.

    Raises:
        InputError: it is something else; the sentence begins with ``where``.
    """
    score = restore_parts(content, HallusionBenchScore, where, _PARTS)
    if score.official.keys() != score.parts.keys():
        raise InputError(f"{where}: expected official counts of the same parts, found others; {RESTORE}")
    return score


def stratum(question: Question) -> Hashable:
    """Category and label: minibatches are balanced by both."""
    return question.subset, question.gold


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:
    """By the names that the official script gives, ``VD_math_0_1_0``."""
    return {question.id.partition("/")[2].replace("/", "_"): question for question in questions}


def _load(path: Path, how: Loading) -> list[Question]:
    return load(path, how.images, skip_bad=how.skip_bad, need_images=how.need_images)


BENCHMARK = Benchmark(
    name=NAME,
    title=TITLE,
    role="robustness",
    explanation="asks yes/no questions about charts, maps and illusions, as they are and edited.",
    instruction=INSTRUCTION,
    load=_load,
    parse=parse,
    score=score,
    restore=restore,
    mean=class_balanced_mean,
    stratum=stratum,
    aliases=aliases,
)
