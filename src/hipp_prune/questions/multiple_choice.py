"""Multiple choice: letters, how a text is read as one, tallies, and what follows from them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np

from hipp_prune.errors import InputError
from hipp_prune.files.ranges import Natural, Share
from hipp_prune.files.strict import check_value
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.questions.benchmark import RESTORE, Column, Rule
from hipp_prune.questions.intervals import Interval, accuracy_interval, percent, percents, with_interval
from hipp_prune.questions.question import Question

LETTERS = "ABCDE"
"""The options' letters; no official question has more than five choices."""

MOST_LETTERS = ascii_uppercase
"""Those that a person's own questions may have."""

BEYOND = -1
"""A letter that none of the question's options has."""

_THE_ANSWER_IS = re.compile(r"The answer is ([A-Z]).")


def option_lines(choices: Sequence[str]) -> str:
    """What LLaVA appends to a question: a line a choice, after its letter."""
    return "".join(f"\n{letter}. {choice}" for letter, choice in zip(MOST_LETTERS, choices, strict=False))


def parse_letter(text: str, num_choices: int, letters: str = LETTERS) -> int | None:
    """Index of the chosen option as LLaVA-1.5's script reads it; ``BEYOND`` or None where it is none.

    Exactly a letter A to E; else a ``X. `` prefix; else the one match of ``The answer is ([A-Z]).``
    (the last period matches any character, as in the original); else None, which the script calls ``FAILED``. A letter
    beyond the question's choices is ``BEYOND``: wrong, but read, so the script does not count it as failed.

    Args:
        text: the answer.
        num_choices: of the question.
        letters: those that are read; the script's by default.
    """
    if text in tuple(letters):
        letter = text
    elif text[:1] in tuple(letters) and text[1:3] == ". ":
        letter = text[0]
    else:
        matches = _THE_ANSWER_IS.findall(text)
        if len(matches) != 1:
            return None
        letter = matches[0]
    choices = list(letters[:num_choices])
    return choices.index(letter) if letter in choices else BEYOND


def predict_letter(question: Question, text: str, rule: Rule = "official") -> int | None:  # noqa: ARG001
    """Index into ``question.answers`` that a text means; every rule reads alike."""
    return parse_letter(text, len(question.answers))


def plain_mean(values: Floats, gold: Ints) -> float:  # noqa: ARG001
    """Mean of values, whatever the right answers are; 0 for none."""
    return float(np.mean(values)) if len(values) else 0.0


def chance_level(questions: Iterable[Question]) -> float:
    """Expected accuracy of a uniform guess among each question's allowed answers, in [0, 1]; 0 for none."""
    chances = [question.chance for question in questions]
    return sum(chances) / len(chances) if chances else 0.0


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Accuracy over some questions, beside what guessing would give."""

    correct: Natural
    """Right answers."""
    n: Natural
    """All questions, failed ones included."""
    failed: Natural
    """Answers from which no option could be read; wrong."""
    chance: Share
    """Expected accuracy of a uniform guess, in [0, 1]."""

    def __post_init__(self) -> None:
        if max(self.correct, self.failed) > self.n:
            raise ValueError(f"expected at most {self.n} answers, found {max(self.correct, self.failed)}")

    @property
    def accuracy(self) -> float:
        """Share of right answers, in [0, 1]."""
        return self.correct / self.n if self.n else 0.0

    @property
    def interval(self) -> Interval:
        """95% interval of ``accuracy``."""
        return accuracy_interval(self.correct, self.n)

    @classmethod
    def of(cls, pairs: Sequence[tuple[Question, int | None]]) -> "Tally":
        """Counts predictions (option indices, None = FAILED)."""
        return cls(
            correct=sum(prediction == question.gold for question, prediction in pairs),
            n=len(pairs),
            failed=sum(prediction is None for _, prediction in pairs),
            chance=chance_level(question for question, _ in pairs),
        )


@dataclass(frozen=True, kw_only=True)
class ChoiceScore:
    """The official score of a benchmark of multiple-choice questions."""

    title: str
    """Name of the benchmark in tables."""
    overall: Tally
    """Over every question: the number papers report."""
    parts: dict[str, Tally]
    """By the benchmark's official columns; parts without a question are absent."""

    @property
    def n(self) -> int:
        """Questions asked."""
        return self.overall.n

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.overall.accuracy

    @property
    def chance(self) -> float:
        """Of a uniform guess."""
        return self.overall.chance

    @property
    def interval(self) -> Interval:
        """Wilson's, of ``accuracy``."""
        return self.overall.interval

    @property
    def remark(self) -> str:
        """Empty: accuracies need no word beside them."""
        return ""

    def rows(self) -> list[tuple[str, ...]]:
        """All questions, then a row a part."""
        header = (self.title, "n", "accuracy", "95%", "chance", "failed")
        return [
            header,
            *((name, *_cells(tally)) for name, tally in [("all", self.overall), *self.parts.items()]),
        ]

    def columns(self) -> list[Column]:
        """Accuracy, chance, the number of questions."""
        return [
            ("accuracy", "%", with_interval(self.accuracy, self.interval)),
            ("chance", "%", percent(self.chance)),
            ("n", "", str(self.n)),
        ]

    def to_json(self) -> dict[str, Any]:
        """Tallies, with accuracy and interval."""
        parts = {name: _tally_json(tally) for name, tally in self.parts.items()}
        return {"title": self.title, "overall": _tally_json(self.overall), "parts": parts}


def restore_choice(content: Mapping[str, Any], where: str) -> ChoiceScore:
    """The score that ``ChoiceScore.to_json`` described; metrics are computed again from the counts.

    Raises:
        InputError: it is something else; the sentence begins with ``where``.
    """
    return check_value(content, ChoiceScore, where=where, remedy=RESTORE, error=InputError, foreign=True)


def _cells(tally: Tally) -> tuple[str, ...]:
    return (
        str(tally.n),
        percent(tally.accuracy),
        percents(tally.interval),
        percent(tally.chance),
        str(tally.failed),
    )


def _tally_json(tally: Tally) -> dict[str, Any]:
    return {**asdict(tally), "accuracy": tally.accuracy, "interval": tally.interval}
