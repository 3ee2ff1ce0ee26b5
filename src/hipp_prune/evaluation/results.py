"""Answers of a model to a set of questions → official results, ready to print, save and compare.

Answers and questions are paired by id, never by order: LLaVA's 2,910 random POPE answers scored by
order against the 3,000-question file of the same name silently give an accuracy of .5017.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.evaluation.intervals import Interval, accuracy_interval, balanced_accuracy_interval
from hipp_prune.evaluation.scoring import (
    PopeMetrics,
    PopeRule,
    ScienceQaMetrics,
    Tally,
    pope_metrics,
    predict,
    scienceqa_metrics,
)
from hipp_prune.questions.question import Benchmark, Question
from hipp_prune.questions.records import Record, read_records

LLAVA_OFFSETS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}
"""LLaVA numbers all POPE questions in one file: question_id plus its subset's offset."""

POOLED = "pooled"
"""Key of the interval over all POPE subsets together."""

_POPE_METRICS = ("accuracy", "precision", "recall", "f1", "yes_rate", "balanced_accuracy")
_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a model scored, by benchmark; empty where a benchmark was not asked."""

    pope: dict[str, PopeMetrics]
    """By subset."""
    pope_intervals: dict[str, Interval]
    """95% interval of balanced accuracy, by subset and ``pooled``: a bootstrap over pictures."""
    scienceqa: ScienceQaMetrics | None
    """None where no ScienceQA question was asked."""

    @property
    def pope_pooled(self) -> PopeMetrics:
        """Over the questions of all subsets together."""
        first, *others = self.pope.values()
        return sum(others, start=first)

    def pope_mean(self, metric: str) -> float:
        """Mean over subsets of a metric named as in PopeMetrics; LLaVA reports that of ``f1``."""
        values: list[float] = [getattr(subset, metric) for subset in self.pope.values()]
        return sum(values) / len(values)

    def rows(self, benchmark: Benchmark) -> list[tuple[str, ...]]:
        """A table to print: the header, then a row a subset or part; percentages with one decimal."""
        if benchmark == "pope":
            return self._pope_rows() if self.pope else []
        return self._scienceqa_rows(self.scienceqa) if self.scienceqa else []

    def _pope_rows(self) -> list[tuple[str, ...]]:
        header = ("POPE", "n", "acc.", "prec.", "recall", "F1", "Yes", "bal.", "95%")
        rows = [
            (name, str(part.n), *(_percent(getattr(part, metric)) for metric in _POPE_METRICS), interval)
            for name, part in [*self.pope.items(), (POOLED, self.pope_pooled)]
            for interval in [_percents(self.pope_intervals[name])]
        ]
        means = (_percent(self.pope_mean(metric)) for metric in _POPE_METRICS)
        return [header, *rows, ("mean", "", *means, "")]

    def _scienceqa_rows(self, metrics: ScienceQaMetrics) -> list[tuple[str, ...]]:
        header = ("ScienceQA", "n", "accuracy", "95%", "chance", "failed")
        parts = [("all", metrics.overall), *metrics.parts.items()]
        return [header, *((name, *_tally_cells(tally)) for name, tally in parts)]

    def to_json(self) -> str:
        """Counts, and the metrics that follow from them for other programs to read."""
        pope = {
            subset: asdict(part) | {metric: getattr(part, metric) for metric in _POPE_METRICS}
            for subset, part in self.pope.items()
        }
        scienceqa = None
        if self.scienceqa is not None:
            parts = {name: _tally_json(tally) for name, tally in self.scienceqa.parts.items()}
            scienceqa = {"overall": _tally_json(self.scienceqa.overall), "parts": parts}
        mean = {metric: self.pope_mean(metric) for metric in _POPE_METRICS} if self.pope else None
        document = {
            "pope": pope,
            "pope_mean": mean,
            "pope_intervals": self.pope_intervals,
            "scienceqa": scienceqa,
        }
        return json.dumps(document, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """The results that :meth:`to_json` wrote; metrics are computed again from the counts.

        Raises:
            InputError: the text is something else.
        """
        try:
            document = json.loads(text)
            scienceqa = document["scienceqa"]
            return cls(
                pope={
                    name: PopeMetrics(**_only(part, PopeMetrics)) for name, part in document["pope"].items()
                },
                pope_intervals={
                    name: (low, high) for name, (low, high) in document["pope_intervals"].items()
                },
                scienceqa=None if scienceqa is None else _scienceqa_from(scienceqa),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"results: expected the JSON that Results.to_json wrote, found {error!r}; score again"
            ) from error


def score(questions: Sequence[Question], texts: Mapping[str, str], *, rule: PopeRule = "official") -> Results:
    """Results of a model's answers.

    Args:
        questions: all that were asked.
        texts: the model's text for each ``Question.id``.
        rule: whose reading of POPE answers; ScienceQA is read as LLaVA-1.5's script does.
    """
    assert texts.keys() >= {question.id for question in questions}, "one answer a question"
    subsets: dict[str, list[Question]] = {}
    for question in questions:
        if question.benchmark == "pope":
            subsets.setdefault(question.subset, []).append(question)
    intervals = {}
    for name, members in [*subsets.items(), (POOLED, [q for group in subsets.values() for q in group])]:
        if members:
            labels, predictions = _yes_no(members, texts, rule)
            groups = [question.group for question in members]
            intervals[name] = balanced_accuracy_interval(labels, predictions, groups)
    science = [question for question in questions if question.benchmark == "scienceqa"]
    chosen = [predict(question, texts[question.id]) for question in science]
    return Results(
        pope={name: pope_metrics(*_yes_no(members, texts, rule), rule) for name, members in subsets.items()},
        pope_intervals=intervals,
        scienceqa=scienceqa_metrics(science, chosen) if science else None,
    )


def score_answers_file(
    answers: Path, questions: Sequence[Question], *, rule: PopeRule = "official"
) -> Results:
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
    pope = [question for question in questions if question.benchmark == "pope"]
    one_subset = len({question.subset for question in pope}) == 1
    for question in pope:
        number = question.id.rpartition("/")[2]
        if number.isdecimal() and question.subset in LLAVA_OFFSETS:
            by_alias.setdefault(str(int(number) + LLAVA_OFFSETS[question.subset]), question)
        if one_subset:
            by_alias.setdefault(number, question)
    return by_alias


def _asks_something_else(record: Record, question: Question) -> bool:
    body = question.prompt.rpartition("\n")[0]
    return "prompt" in record.fields and body not in record.text("prompt")


def _yes_no(
    questions: Sequence[Question], texts: Mapping[str, str], rule: PopeRule
) -> tuple[list[bool], list[bool | None]]:
    """Labels and predictions as pope_metrics takes them."""
    chosen = [predict(question, texts[question.id], rule) for question in questions]
    predictions = [
        None if index is None else question.answers[index] == "Yes"
        for question, index in zip(questions, chosen, strict=True)
    ]
    return [question.answer == "Yes" for question in questions], predictions


def _tally_cells(tally: Tally) -> tuple[str, ...]:
    interval = _percents(accuracy_interval(tally.correct, tally.n))
    return (str(tally.n), _percent(tally.accuracy), interval, _percent(tally.chance), str(tally.failed))


def _tally_json(tally: Tally) -> dict[str, object]:
    interval = accuracy_interval(tally.correct, tally.n)
    return {**asdict(tally), "accuracy": tally.accuracy, "interval": interval}


def _scienceqa_from(document: Mapping[str, dict[str, dict[str, float]]]) -> ScienceQaMetrics:
    parts = {name: Tally(**_only(part, Tally)) for name, part in document["parts"].items()}
    return ScienceQaMetrics(overall=Tally(**_only(document["overall"], Tally)), parts=parts)


def _only(document: Mapping[str, object], kind: type[PopeMetrics] | type[Tally]) -> dict[str, Any]:
    """What ``kind`` stores, without the metrics that follow from it."""
    return {field.name: document[field.name] for field in fields(kind)}


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _percents(interval: Interval) -> str:
    return f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"
