"""Yes/No answers: how a text is read, counts, the metrics that follow from them, and their intervals.

A metric whose denominator is empty is 0.0, never an error: precision without a yes prediction, recall without a yes
label, F1 with both zero, anything over no question. The one exception is balanced accuracy, which averages over the
classes that occur. (The official POPE script divides by zero on a model that always says No.)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Len

from hipp_prune.errors import InputError
from hipp_prune.files.ranges import Bounds, Natural
from hipp_prune.files.strict import check_value
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.questions.benchmark import RESTORE, Column, Rule
from hipp_prune.questions.intervals import (
    Interval,
    balanced_accuracy_interval,
    percent,
    percents,
    with_interval,
)
from hipp_prune.questions.question import Question

YES_NO = ("Yes", "No")
"""The two allowed answers, as emitted."""

POOLED = "pooled"
"""Key of the interval over all subsets together."""

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_METRICS = ("accuracy", "precision", "recall", "f1", "yes_rate", "balanced_accuracy")


def parse_yes_no(text: str, rule: Rule = "official") -> bool | None:
    """Whether an answer says yes; None where the rule can tell neither.

    ``official`` (AoiDragon/POPE): in the text before the first period, without commas, split at spaces,
    any of ``No``, ``no`` and ``not`` is a no, everything else a yes: the empty string and ``NO`` too.
    ``lmms-eval``: the lower-cased, stripped text must *equal* yes or no, so ``No.`` is neither.
    ``vlmevalkit``: the lower-cased words, punctuation removed, contain yes or no, not both.
    """
    if rule == "official":
        words = text.split(".")[0].replace(",", "").split(" ")
        return not {"No", "no", "not"}.intersection(words)
    if rule == "lmms-eval":
        return {"yes": True, "no": False}.get(text.lower().strip())
    found = {"yes", "no"}.intersection(vqa_words(text.lower()))
    return "yes" in found if len(found) == 1 else None


def vqa_words(text: str) -> list[str]:
    """The words of a text as VQA's evaluation and VLMEvalKit cut it.

    Punctuation that touches a space vanishes, other punctuation separates.
    """
    cleaned = text
    for mark in _PUNCTUATION:
        vanishes = mark + " " in text or " " + mark in text or _DIGIT_COMMA.search(text) is not None
        cleaned = cleaned.replace(mark, "" if vanishes else " ")
    return _PERIOD.sub("", cleaned).split()


def predict_yes_no(question: Question, text: str, rule: Rule = "official") -> int | None:
    """Index into ``question.answers`` that a text means, or None where the rule can tell neither."""
    said_yes = parse_yes_no(text, rule)
    return None if said_yes is None else question.answers.index("Yes" if said_yes else "No")


def class_balanced_mean(values: Floats, classes: Ints) -> float:
    """Mean over the classes present of the mean within each; 0 for no values."""
    means = [values[classes == label].mean() for label in np.unique(classes)]
    return float(np.mean(means)) if means else 0.0


@dataclass(frozen=True, kw_only=True)
class YesNoCounts:
    """Counts over yes/no questions, positive = yes, and what follows from them; all metrics in [0, 1]."""

    tp: Natural
    """Label yes, answer yes."""
    fp: Natural
    """Label no, answer yes."""
    tn: Natural
    """Label no, answer no."""
    fn: Natural
    """Label yes, answer no."""
    failed_yes: Natural = 0
    """Label yes, answer neither (impossible under the official rule); counts as wrong."""
    failed_no: Natural = 0
    """Label no, answer neither; counts as wrong."""
    rule: Rule = "official"
    """Under ``lmms-eval``, recall leaves failed answers out and the yes rate is that of the *labels*."""

    @property
    def n(self) -> int:
        """Number of questions."""
        return self.tp + self.fp + self.tn + self.fn + self.failed

    @property
    def failed(self) -> int:
        """Number of answers that are neither yes nor no."""
        return self.failed_yes + self.failed_no

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return ratio(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float:
        """Share of yes labels among the yes answers; 0 without a yes answer."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of yes answers among the yes labels; 0 without a yes label."""
        failed = 0 if self.rule == "lmms-eval" else self.failed_yes
        return ratio(self.tp, self.tp + self.fn + failed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are."""
        return ratio(2 * self.precision * self.recall, self.precision + self.recall)

    @property
    def yes_rate(self) -> float:
        """Share of yes *answers*; under ``lmms-eval`` share of yes labels."""
        yes = self.tp + (self.fn + self.failed_yes if self.rule == "lmms-eval" else self.fp)
        return ratio(yes, self.n)

    @property
    def balanced_accuracy(self) -> float:
        """Mean share of right answers over the labels yes and no; over the one that occurs, if only one."""
        classes = [
            (self.tp, self.tp + self.fn + self.failed_yes),
            (self.tn, self.tn + self.fp + self.failed_no),
        ]
        shares = [right / total for right, total in classes if total]
        return ratio(sum(shares), len(shares))

    def __add__(self, other: "YesNoCounts") -> "YesNoCounts":
        """The metrics over both sets of questions."""
        assert self.rule == other.rule, "pooled metrics must follow one rule"
        return YesNoCounts(
            tp=self.tp + other.tp,
            fp=self.fp + other.fp,
            tn=self.tn + other.tn,
            fn=self.fn + other.fn,
            failed_yes=self.failed_yes + other.failed_yes,
            failed_no=self.failed_no + other.failed_no,
            rule=self.rule,
        )


def count_yes_no(
    labels: Sequence[bool], predictions: Sequence[bool | None], rule: Rule = "official"
) -> YesNoCounts:
    """Count answers against labels, paired by position; True is yes, None neither."""
    assert len(labels) == len(predictions), "one prediction a label"
    pairs = list(zip(labels, predictions, strict=True))
    return YesNoCounts(
        tp=pairs.count((True, True)),
        fp=pairs.count((False, True)),
        tn=pairs.count((False, False)),
        fn=pairs.count((True, False)),
        failed_yes=pairs.count((True, None)),
        failed_no=pairs.count((False, None)),
        rule=rule,
    )


def ratio(part: float, whole: float) -> float:
    """``part / whole``; 0 over nothing."""
    return part / whole if whole else 0.0


@dataclass(frozen=True, kw_only=True)
class YesNoScore:
    """The official score of a benchmark of yes/no questions in subsets (POPE's); ``accuracy`` is the balanced one."""

    title: str
    """Name of the benchmark in tables."""
    subsets: Annotated[dict[str, YesNoCounts], Len(1)]
    """Outcomes of the answers, by subset."""
    intervals: dict[str, Bounds]
    """95% interval of balanced accuracy, by subset and ``pooled``: a bootstrap over pictures."""

    @property
    def pooled(self) -> YesNoCounts:
        """Over the questions of all subsets together."""
        first, *others = self.subsets.values()
        return sum(others, start=first)

    @property
    def n(self) -> int:
        """Questions asked."""
        return self.pooled.n

    @property
    def accuracy(self) -> float:
        """Balanced accuracy over all subsets together."""
        return self.pooled.balanced_accuracy

    @property
    def chance(self) -> float:
        """A half, however unbalanced the labels are."""
        return 0.5

    @property
    def interval(self) -> Interval:
        """95% interval of ``accuracy``: a bootstrap over pictures."""
        return self.intervals[POOLED]

    @property
    def remark(self) -> str:
        """The number that LLaVA reports."""
        return f"mean F1 over subsets: {self.mean('f1'):.4f}"

    def mean(self, metric: str) -> float:
        """Mean over subsets of a metric named as in ``YesNoCounts``."""
        values: list[float] = [getattr(subset, metric) for subset in self.subsets.values()]
        return sum(values) / len(values)

    def rows(self) -> list[tuple[str, ...]]:
        """A row a subset, all pooled, and the mean over subsets; percentages with one decimal."""
        header = (self.title, "n", "acc.", "prec.", "recall", "F1", "Yes", "bal.", "95%")
        rows = [
            (
                name,
                str(part.n),
                *(percent(getattr(part, metric)) for metric in _METRICS),
                percents(self.intervals[name]),
            )
            for name, part in [*self.subsets.items(), (POOLED, self.pooled)]
        ]
        return [header, *rows, ("mean", "", *(percent(self.mean(metric)) for metric in _METRICS), "")]

    def columns(self) -> list[Column]:
        """Balanced accuracy, chance, the share of Yes, each subset's balanced accuracy, the number of questions."""
        return [
            ("balanced accuracy", "%", with_interval(self.accuracy, self.interval)),
            ("chance", "%", percent(self.chance)),
            ("Yes-rate", "%", percent(self.pooled.yes_rate)),
            *((name, "%", percent(part.balanced_accuracy)) for name, part in self.subsets.items()),
            ("n", "", str(self.n)),
        ]

    def to_json(self) -> dict[str, Any]:
        """Counts and metrics of each subset, their means, and the intervals."""
        return {
            "title": self.title,
            "subsets": {
                name: asdict(part) | {metric: getattr(part, metric) for metric in _METRICS}
                for name, part in self.subsets.items()
            },
            "mean": {metric: self.mean(metric) for metric in _METRICS},
            "intervals": self.intervals,
        }


def score_yes_no(
    title: str, questions: Sequence[Question], predictions: Sequence[int | None], rule: Rule
) -> YesNoScore:
    """The score of predictions, paired with the questions by position.

    Args:
        title: the benchmark's.
        questions: at least one, with answers Yes and No.
        predictions: indices into their answers, None where the rule could tell neither.
        rule: under which metrics follow from counts.
    """
    said = [None if p is None else q.answers[p] == "Yes" for q, p in zip(questions, predictions, strict=True)]
    labels = [question.answer == "Yes" for question in questions]
    members: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        members.setdefault(question.subset, []).append(index)
    subsets, intervals = {}, {}
    pooled = [row for own_rows in members.values() for row in own_rows]
    for name, rows in [*members.items(), (POOLED, pooled)]:
        own, told = [labels[row] for row in rows], [said[row] for row in rows]
        intervals[name] = balanced_accuracy_interval(own, told, [questions[row].group for row in rows])
        if name != POOLED:
            subsets[name] = count_yes_no(own, told, rule)
    return YesNoScore(title=title, subsets=subsets, intervals=intervals)


def restore_yes_no(content: Mapping[str, Any], where: str) -> YesNoScore:
    """The score that ``YesNoScore.to_json`` described; metrics are computed again from the counts.

    Raises:
        InputError: it is something else; the sentence begins with ``where``.
    """
    score = check_value(content, YesNoScore, where=where, remedy=RESTORE, error=InputError, foreign=True)
    missing = {*score.subsets, POOLED} - score.intervals.keys()
    if missing or len({counts.rule for counts in score.subsets.values()}) > 1:
        raise InputError(
            f"{where}: expected an interval of every subset and of all, and one rule throughout, found other things; "
            f"{RESTORE}"
        )
    return score
