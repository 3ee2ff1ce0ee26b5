"""Official answer parsing and metrics: model text → prediction → numbers.

A metric whose denominator is empty is 0.0, never an error: precision without a yes prediction, recall
without a yes label, F1 with both zero, anything over no question. The one exception is balanced
accuracy, which averages over the classes that occur. (The official POPE script divides by zero on a
model that always says No.)
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hipp_prune.questions.benchmarks.scienceqa import LETTERS
from hipp_prune.questions.question import Question

PopeRule = Literal["official", "lmms-eval", "vlmevalkit"]
"""Whose reading of a POPE answer, see :func:`parse_pope`."""

SCIENCEQA_PARTS = ("NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12")
"""The official columns: subject, context modality, grade."""

_SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_THE_ANSWER_IS = re.compile(r"The answer is ([A-Z]).")


def parse_pope(text: str, rule: PopeRule = "official") -> bool | None:
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
    found = {"yes", "no"}.intersection(_vlmevalkit_words(text.lower()))
    return "yes" in found if len(found) == 1 else None


def _vlmevalkit_words(text: str) -> list[str]:
    """VLMEvalKit's words: punctuation that touches a space vanishes, other punctuation separates."""
    cleaned = text
    for mark in _PUNCTUATION:
        vanishes = mark + " " in text or " " + mark in text or _DIGIT_COMMA.search(text) is not None
        cleaned = cleaned.replace(mark, "" if vanishes else " ")
    return _PERIOD.sub("", cleaned).split()


def parse_scienceqa(text: str, num_choices: int) -> int | None:
    """Index of the chosen option as LLaVA-1.5's script reads it; None where it reads ``FAILED``.

    Exactly a letter A to E; else a ``X. `` prefix; else the one match of ``The answer is ([A-Z]).``
    (the last period matches any character, as in the original). A letter beyond the question's choices
    is None too: both count as wrong.
    """
    if text in tuple(LETTERS):
        letter = text
    elif text[:1] in tuple(LETTERS) and text[1:3] == ". ":
        letter = text[0]
    else:
        matches = _THE_ANSWER_IS.findall(text)
        letter = matches[0] if len(matches) == 1 else ""
    choices = list(LETTERS[:num_choices])
    return choices.index(letter) if letter in choices else None


def predict(question: Question, text: str, rule: PopeRule = "official") -> int | None:
    """Index into ``question.answers`` that a model's answer means under the benchmark's rule, or None."""
    if question.benchmark == "scienceqa":
        return parse_scienceqa(text, len(question.answers))
    said_yes = parse_pope(text, rule)
    return None if said_yes is None else question.answers.index("Yes" if said_yes else "No")


def chance_level(questions: Iterable[Question]) -> float:
    """Expected accuracy of a uniform guess among each question's allowed answers, in [0, 1]."""
    chances = [question.chance for question in questions]
    return _ratio(sum(chances), len(chances))


@dataclass(frozen=True, kw_only=True)
class PopeMetrics:
    """Counts over POPE questions, positive = yes, and what follows from them; all metrics in [0, 1]."""

    tp: int
    """Label yes, answer yes."""
    fp: int
    """Label no, answer yes."""
    tn: int
    """Label no, answer no."""
    fn: int
    """Label yes, answer no."""
    failed_yes: int = 0
    """Label yes, answer neither (impossible under the official rule); counts as wrong."""
    failed_no: int = 0
    """Label no, answer neither; counts as wrong."""
    rule: PopeRule = "official"
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
        return _ratio(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float:
        """Share of yes labels among the yes answers; 0 without a yes answer."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of yes answers among the yes labels; 0 without a yes label."""
        failed = 0 if self.rule == "lmms-eval" else self.failed_yes
        return _ratio(self.tp, self.tp + self.fn + failed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are."""
        return _ratio(2 * self.precision * self.recall, self.precision + self.recall)

    @property
    def yes_rate(self) -> float:
        """Share of yes *answers*; under ``lmms-eval`` share of yes labels."""
        yes = self.tp + (self.fn + self.failed_yes if self.rule == "lmms-eval" else self.fp)
        return _ratio(yes, self.n)

    @property
    def balanced_accuracy(self) -> float:
        """Mean share of right answers over the labels yes and no; over the one that occurs, if only one."""
        classes = [
            (self.tp, self.tp + self.fn + self.failed_yes),
            (self.tn, self.tn + self.fp + self.failed_no),
        ]
        shares = [right / total for right, total in classes if total]
        return _ratio(sum(shares), len(shares))

    def __add__(self, other: "PopeMetrics") -> "PopeMetrics":
        """The metrics over both sets of questions."""
        assert self.rule == other.rule, "pooled metrics must follow one rule"
        return PopeMetrics(
            tp=self.tp + other.tp,
            fp=self.fp + other.fp,
            tn=self.tn + other.tn,
            fn=self.fn + other.fn,
            failed_yes=self.failed_yes + other.failed_yes,
            failed_no=self.failed_no + other.failed_no,
            rule=self.rule,
        )


def pope_metrics(
    labels: Sequence[bool], predictions: Sequence[bool | None], rule: PopeRule = "official"
) -> PopeMetrics:
    """Count answers against labels, paired by position; True is yes, None neither."""
    assert len(labels) == len(predictions), "one prediction a label"
    pairs = list(zip(labels, predictions, strict=True))
    return PopeMetrics(
        tp=pairs.count((True, True)),
        fp=pairs.count((False, True)),
        tn=pairs.count((False, False)),
        fn=pairs.count((True, False)),
        failed_yes=pairs.count((True, None)),
        failed_no=pairs.count((False, None)),
        rule=rule,
    )


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Accuracy over some ScienceQA questions, beside what guessing would give."""

    correct: int
    """Right answers."""
    n: int
    """All questions, failed ones included."""
    failed: int
    """Answers from which no option could be read; wrong."""
    chance: float
    """Expected accuracy of a uniform guess, in [0, 1]."""

    @property
    def accuracy(self) -> float:
        """Share of right answers, in [0, 1]."""
        return _ratio(self.correct, self.n)


@dataclass(frozen=True, kw_only=True)
class ScienceQaMetrics:
    """ScienceQA accuracy over all questions and over the official parts."""

    overall: Tally
    """Over every question: the number papers report."""
    parts: dict[str, Tally]
    """By subject, context and grade, the official columns first; parts without a question are absent."""


def scienceqa_metrics(questions: Sequence[Question], predictions: Sequence[int | None]) -> ScienceQaMetrics:
    """Tally predictions (option indices, None = FAILED) against questions, paired by position."""
    assert len(questions) == len(predictions), "one prediction a question"
    members: dict[str, list[tuple[Question, int | None]]] = {part: [] for part in SCIENCEQA_PARTS}
    pairs = list(zip(questions, predictions, strict=True))
    for question, prediction in pairs:
        for part in (_SUBJECTS.get(question.subset, question.subset), *sorted(question.tags)):
            members.setdefault(part, []).append((question, prediction))
    parts = {part: _tally(member) for part, member in members.items() if member}
    return ScienceQaMetrics(overall=_tally(pairs), parts=parts)


def _tally(pairs: Sequence[tuple[Question, int | None]]) -> Tally:
    return Tally(
        correct=sum(prediction == question.gold for question, prediction in pairs),
        n=len(pairs),
        failed=sum(prediction is None for _, prediction in pairs),
        chance=chance_level(question for question, _ in pairs),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
