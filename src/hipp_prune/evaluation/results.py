"""Answers of a model to a set of questions → official results, ready to print, save and compare."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hipp_prune.errors import InputError
from hipp_prune.evaluation.answers import read_answers, unasked
from hipp_prune.files.faults import shown
from hipp_prune.files.ranges import Count
from hipp_prune.files.strict import check_value, parse_json
from hipp_prune.questions.benchmark import RESTORE, Rule, Score
from hipp_prune.questions.benchmarks import BENCHMARKS, asked
from hipp_prune.questions.question import Question


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a model scored, by benchmark; a benchmark that was not asked is absent."""

    scores: Mapping[str, Score]
    """By ``Benchmark.name``, in the order of names."""
    rule: Rule = "official"
    """Whose reading of the answers."""
    unasked: Mapping[str, int] = field(default_factory=dict)
    """Questions left out because the edition that was asked does not hold them, by ``Benchmark.name``."""

    def to_json(self) -> str:
        """The text of ``document``."""
        return json.dumps(self.document(), indent=2)

    def document(self) -> dict[str, Any]:
        """The rule, and each benchmark's counts and metrics, as JSON has them."""
        document: dict[str, Any] = {"rule": self.rule}
        document |= {name: score.to_json() for name, score in self.scores.items()}
        if self.unasked:
            document["unasked"] = dict(self.unasked)
        return document

    @classmethod
    def from_json(cls, text: str, *, where: str = "results") -> "Results":
        """The results that :meth:`to_json` wrote; metrics are computed again from the counts.

        Raises:
            InputError: the text is something else; the sentence begins with ``where``.
        """
        document = parse_json(text, dict[str, Any], where=where, remedy=RESTORE, error=InputError)
        beside = {name: document.pop(name) for name in ("rule", "unasked") if name in document}
        read = check_value(beside, _Reading, where=where, remedy=RESTORE, error=InputError)
        if unknown := document.keys() - BENCHMARKS.keys():
            raise InputError(
                f"{where}: expected scores of {', '.join(BENCHMARKS)}, found {shown(min(unknown))}; {RESTORE}"
            )
        scores = {
            name: BENCHMARKS[name].restore(content, f"{where}, {name}") for name, content in document.items()
        }
        return cls(scores=scores, rule=read.rule, unasked=read.unasked)


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What stands beside the scores in the JSON of results."""

    rule: Rule
    unasked: dict[str, Count] = field(default_factory=dict)


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


def score_answers_file(
    answers: Path,
    questions: Sequence[Question],
    editions: Mapping[str, Sequence[Question]] = {},
    *,
    rule: Rule = "official",
) -> Results:
    """Results of a file of answers, see :func:`read_answers`; questions that were never asked are left out.

    Args:
        answers: the file.
        questions: that are scored.
        editions: what was asked in place of a corrected edition, by the name of that.
        rule: whose reading of answers, where a benchmark has several.
    """
    texts = read_answers(answers, questions, editions)
    results = score([question for question in questions if question.id in texts], texts, rule=rule)
    return replace(results, unasked=unasked(questions, texts))
