"""Answers of a model to a set of questions → official results, ready to print, save and compare.

Answers and questions are paired by id, never by order: LLaVA's 2,910 random POPE answers scored by
order against the 3,000-question file of the same name silently give an accuracy of .5017.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.questions.benchmark import Rule, Score
from hipp_prune.questions.benchmarks import BENCHMARKS, asked
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import Record, read_records

_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a model scored, by benchmark; a benchmark that was not asked is absent."""

    scores: Mapping[str, Score]
    """By ``Benchmark.name``, in the order of names."""
    rule: Rule = "official"
    """Whose reading of the answers."""

    def to_json(self) -> str:
        """The rule, and each benchmark's counts and metrics."""
        document: dict[str, Any] = {"rule": self.rule}
        document |= {name: score.to_json() for name, score in self.scores.items()}
        return json.dumps(document, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """The results that :meth:`to_json` wrote; metrics are computed again from the counts.

        Raises:
            InputError: the text is something else.
        """
        try:
            document = json.loads(text)
            rule = document.pop("rule")
            scores = {name: BENCHMARKS[name].restore(content) for name, content in document.items()}
            return cls(scores=scores, rule=rule)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"results: expected the JSON that Results.to_json wrote, found {error!r}; score again"
            ) from error


def score(questions: Sequence[Question], texts: Mapping[str, str], *, rule: Rule = "official") -> Results:
    """Results of a model's answers.

    Args:
        questions: all that were asked.
        texts: the model's text for each ``Question.id``.
        rule: whose reading of answers, where a benchmark has several.
    """
    assert texts.keys() >= {question.id for question in questions}, "one answer a question"
    scores: dict[str, Score] = {}
    for benchmark in asked(questions):
        own = [question for question in questions if question.benchmark == benchmark.name]
        predictions = [benchmark.parse(question, texts[question.id], rule) for question in own]
        scores[benchmark.name] = benchmark.score(own, predictions, rule)
    return Results(scores=scores, rule=rule)


def score_answers_file(answers: Path, questions: Sequence[Question], *, rule: Rule = "official") -> Results:
    """Results of an answers file in LLaVA's format, see :func:`read_answers`."""
    return score(questions, read_answers(answers, questions), rule=rule)


def read_answers(answers: Path, questions: Sequence[Question]) -> dict[str, str]:
    """The text for each ``Question.id`` from JSON lines: ``question_id``, ``text``, perhaps ``prompt``.

    An id may be written as ``Question.id``; for POPE also in LLaVA's numbering over all subsets, or as
    the file's own number where only one subset was asked. A ``prompt``, where given, must contain the
    question's text (its last line, the instruction, may differ): ids alone do not tell two editions
    of a benchmark apart.

    Raises:
        QuestionError: a record that cannot be read, an answer to no question or to one already
            answered, a question without answer, or a prompt that asks something else.
    """
    by_alias = _aliases(questions)
    texts: dict[str, str] = {}
    unknown: list[str] = []
    repeated: list[str] = []
    misasked: list[str] = []
    for record in read_records(answers):
        written = record.identifier("question_id")
        question = by_alias.get(written)
        if question is None:
            unknown.append(written)
            continue
        if question.id in texts:
            repeated.append(written)
        if _asks_something_else(record, question):
            misasked.append(written)
        texts[question.id] = record.text("text")
    missing = [question.id for question in questions if question.id not in texts]
    complaints = [
        f"{what}: {len(ids)} ({', '.join(ids[:_EXAMPLES])}{', …' if len(ids) > _EXAMPLES else ''})"
        for ids, what in (
            (unknown, "answers to no such question"),
            (repeated, "repeated answers"),
            (misasked, "answers to a differently worded prompt"),
            (missing, "questions without an answer"),
        )
        if ids
    ]
    if complaints:
        raise QuestionError(
            f"{answers}: expected one answer to each of the {len(questions)} questions, "
            f"found {', '.join(complaints)}; give the very questions that were asked"
        )
    return texts


def _aliases(questions: Sequence[Question]) -> dict[str, Question]:
    by_alias = {question.id: question for question in questions}
    for benchmark in asked(questions):
        own = [question for question in questions if question.benchmark == benchmark.name]
        for alias, question in benchmark.aliases(own).items():
            by_alias.setdefault(alias, question)
    return by_alias


def _asks_something_else(record: Record, question: Question) -> bool:
    body = question.prompt.rpartition("\n")[0]
    return "prompt" in record.fields and body not in record.text("prompt")
