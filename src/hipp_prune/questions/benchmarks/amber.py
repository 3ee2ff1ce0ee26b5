"""AMBER's yes/no questions → Questions, and their official score.

AMBER (Wang et al. 2023, github.com/junyangwang0410/AMBER) asks about what exists in a picture, about attributes (state,
number, action) and about relations. Its folder ``data`` holds ``query/query_discriminative.json`` with ``id``,
``image`` and ``query``, and ``annotations.json`` with ``id``, ``type`` and ``truth``. Its other part, descriptions
scored by the nouns they contain, has no closed set of answers and is not read here.

Two answers of three are no, and all are where existence is asked. So the number to compare by is balanced accuracy
over all questions; the official metrics stand beside it.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.files.ranges import Natural
from hipp_prune.questions.benchmark import Benchmark, Column, Loading, Rule
from hipp_prune.questions.image_folders import image_folder
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import CORRECT_OR_SKIP, OR_SKIP, Name, SkipBad, read_records, skip_or_raise
from hipp_prune.questions.yes_no import (
    YES_NO,
    YesNoCounts,
    class_balanced_mean,
    parse_yes_no,
)
from hipp_prune.questions.yes_no_parts import ALL, YesNoParts, count_parts, restore_parts

NAME, TITLE = "amber", "AMBER"

INSTRUCTION = "\nAnswer the question using a single word or phrase."
"""AMBER words no instruction but wants answers of one word; this is what LLaVA-1.5 appends to such questions."""

QUERIES, ANNOTATIONS = Path("query", "query_discriminative.json"), Path("annotations.json")
"""Below the data folder."""

_PARTS = ("existence", "attribute", "state", "number", "action", "relation")
"""In the order of the official report; state, number and action are kinds of attribute."""

_IMAGE_FOLDERS = ("image", "images")
_KINDS = {
    "discriminative-hallucination": ("existence", None),
    "discriminative-attribute-state": ("attribute", "state"),
    "discriminative-attribute-number": ("attribute", "number"),
    "discriminative-attribute-action": ("attribute", "action"),
    "discriminative-relation": ("relation", None),
    "relation": ("relation", None),  # so are relations called whose truth is no
}
"""Dimension, and kind of attribute, by the ``type`` of an annotation."""


def load(
    root: Path, images: Path | None = None, *, skip_bad: SkipBad | None = None, need_images: bool = True
) -> list[Question]:
    """Every yes/no question, in the official order.

    Args:
        root: the official folder ``data``.
        images: the folder with the pictures; by default ``image`` or ``images`` in ``root`` or beside it.
        skip_bad: counts bad records and leaves them out; None makes them errors.
        need_images: False where answers are scored and no picture is opened.

    Raises:
        QuestionError: an official file is missing; a record lacks a field or has a wrong one, or an id without
            annotation or that came before.
        ImageError: ``need_images`` and there is no folder with pictures.
    """
    candidates = [parent / name for parent in (root, root.parent) for name in _IMAGE_FOLDERS]
    folder = image_folder(images, candidates, title=TITLE, name=NAME, need_images=need_images)
    records = read_records(root / ANNOTATIONS, _Annotation, skip_bad)
    annotations = {annotation.id: (where, annotation) for where, annotation in records}
    questions: dict[str, Question] = {}
    for where, query in read_records(root / QUERIES, _Query, skip_bad):
        try:
            question = _question(query, where, annotations, folder)
            if question.id in questions:
                raise QuestionError(
                    f"{where}: expected every id once, found {query.id} again; remove it {OR_SKIP}"
                )
        except QuestionError as error:
            skip_or_raise(error, skip_bad)
            continue
        questions[question.id] = question
    if not questions:
        raise QuestionError(f"{root}: expected {TITLE} questions, found none; give the official folder data")
    return list(questions.values())


@dataclass(frozen=True, kw_only=True)
class _Annotation:
    """A record of ``annotations.json``."""

    id: Natural
    type: str
    truth: Any = None
    """``yes`` or ``no``; of descriptions, the nouns they may contain."""


@dataclass(frozen=True, kw_only=True)
class _Query:
    """A record of ``query_discriminative.json``."""

    id: Natural
    image: Name
    query: str


def _question(
    query: _Query, where: str, annotations: Mapping[int, tuple[str, _Annotation]], images: Path
) -> Question:
    if query.id not in annotations:
        raise QuestionError(
            f"{where}: expected an annotation of id {query.id} in {ANNOTATIONS}, found none; get the official "
            f"file {OR_SKIP}"
        )
    place, annotation = annotations[query.id]
    dimension, kind = _KINDS.get(annotation.type, (None, None))
    if dimension is None:
        raise QuestionError(
            f"{place}: expected field 'type' to be one of {', '.join(_KINDS)}, "
            f"found {shown(annotation.type)}; {CORRECT_OR_SKIP}"
        )
    if annotation.truth not in ("yes", "no"):
        raise QuestionError(
            f"{place}: expected field 'truth' to be yes or no, found {shown(annotation.truth)}; {CORRECT_OR_SKIP}"
        )
    image = images / query.image
    return Question(
        benchmark=NAME,
        id=f"{NAME}/{query.id}",
        prompt=query.query + INSTRUCTION,
        images=(image,),
        answers=YES_NO,
        gold=("yes", "no").index(annotation.truth),
        subset=dimension,
        group=str(image),
        tags=frozenset() if kind is None else frozenset({kind}),
    )


def parse(question: Question, text: str, rule: Rule = "official") -> int | None:
    """Index of the answer that a text means; officially it must *be* ``Yes`` or ``No``, to the letter."""
    if rule == "official":
        return question.answers.index(text) if text in question.answers else None
    said_yes = parse_yes_no(text, rule)
    return None if said_yes is None else question.answers.index("Yes" if said_yes else "No")


@dataclass(frozen=True, kw_only=True)
class OfficialMetrics:
    """What ``inference.py`` prints of one part, in percent with one decimal, positive = No.

    To the last digit: it adds .001 to every denominator, rounds, and makes F1 of the rounded precision and recall with
    .0001 added to their sum (.001 for existence). So no metric divides by zero.
    """

    accuracy: float
    precision: float
    """Share of no labels among the answers No."""
    recall: float
    """Share of answers No among the no labels."""
    f1: float

    @classmethod
    def of(cls, counts: YesNoCounts, part: str) -> "OfficialMetrics":
        """The metrics that follow from counts."""
        precision = _official(counts.tn, counts.tn + counts.fn)
        recall = _official(counts.tn, counts.tn + counts.fp + counts.failed_no)
        added = 0.001 if part == "existence" else 0.0001
        p, r = precision / 100, recall / 100
        return cls(
            accuracy=_official(counts.tp + counts.tn, counts.n),
            precision=precision,
            recall=recall,
            f1=round(2 * p * r / (p + r + added) * 100, 1),
        )


def _official(right: int, n: int) -> float:
    return round(right / (n + 0.001) * 100, 1)


@dataclass(frozen=True, kw_only=True)
class AmberScore(YesNoParts):
    """The score of AMBER's yes/no questions; ``accuracy`` is the balanced one over all of them."""

    @property
    def official(self) -> dict[str, OfficialMetrics]:
        """What the official script prints, by part."""
        return {part: OfficialMetrics.of(counts, part) for part, counts in self.parts.items()}

    def rows(self) -> list[tuple[str, ...]]:
        """A row a part: the official metrics (positive = No), then balanced accuracy; percentages."""
        metrics = ("acc.", "prec. No", "recall No", "F1 No")
        return self.table(
            TITLE, metrics, lambda part: (f"{value:.1f}" for value in asdict(self.official[part]).values())
        )

    def columns(self) -> list[Column]:
        """Balanced accuracy, chance, official accuracy and F1, each part's accuracy, the number of questions."""
        official = self.official
        return self.summary(
            ("accuracy", "%", f"{official[ALL].accuracy:.1f}"),
            ("F1 of No", "%", f"{official[ALL].f1:.1f}"),
            *((part, "%", f"{each.accuracy:.1f}") for part, each in official.items() if part != ALL),
        )

    def to_json(self) -> dict[str, Any]:
        """Counts of each part, the official metrics in percent, and the intervals."""
        return self.document(TITLE, lambda part: {"official": asdict(self.official[part])})


def score(
    questions: Sequence[Question], predictions: Sequence[int | None], rule: Rule = "official"
) -> AmberScore:
    """Counts by part; every rule counts alike."""
    return AmberScore(**count_parts(questions, predictions, rule, _PARTS))


def restore(content: Mapping[str, Any], where: str) -> AmberScore:
    """The score that ``AmberScore.to_json`` described; metrics are computed again from the counts.

    Raises:
        InputError: it is something else; the sentence begins with ``where``.
    """
    return restore_parts(content, AmberScore, where, _PARTS)


def stratum(question: Question) -> Hashable:
    """Dimension and label: minibatches are balanced by both."""
    return question.subset, question.gold


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:
    """By the official ids, which have no prefix."""
    return {question.id.rpartition("/")[2]: question for question in questions}


def _load(path: Path, how: Loading) -> list[Question]:
    return load(path, how.images, skip_bad=how.skip_bad, need_images=how.need_images)


BENCHMARK = Benchmark(
    name=NAME,
    title=TITLE,
    role="robustness",
    explanation="asks yes/no questions about what is in a picture, what it is like and how things stand to "
    "each other; two answers of three are No.",
    instruction=INSTRUCTION,
    load=_load,
    parse=parse,
    score=score,
    restore=restore,
    mean=class_balanced_mean,
    stratum=stratum,
    aliases=aliases,
)
