"""Official scores of a model: its answers, what they score, and what the model weighs."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from hipp_prune.errors import IncompleteRunError, InputError
from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.evaluation.free_answers import answer_freely
from hipp_prune.evaluation.results import Results, score
from hipp_prune.files.progress import Progress
from hipp_prune.files.ranges import Large, NotNegative, Positive, Share
from hipp_prune.files.reading import read_document
from hipp_prune.files.writing import write_json
from hipp_prune.models.adapter import Adapter
from hipp_prune.objectives.returns import log_margins
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.space import Ledger
from hipp_prune.questions.benchmark import Rule
from hipp_prune.questions.benchmarks import asked
from hipp_prune.questions.fingerprint import Origin, fingerprint_questions
from hipp_prune.questions.question import Question, pictures_of

_REMEDY = "evaluate again with `hipp-prune evaluate … --out results.json`"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answered question: enough to score it again without the model."""

    benchmark: str
    """Name of the question's benchmark."""
    id: str
    prompt: str
    images: tuple[str, ...]
    """Paths of the pictures."""
    gold: str
    given: str
    """The most probable of the allowed answers; what the model says in its own words, where any text is allowed."""
    margin: float
    """Log-margin of the right answer (Eq. 11), in nats; positive where it was given."""


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """What one model answered on one set of questions, and its official scores."""

    label: str
    """Name in tables, e.g. ``dense`` or ``1,0,0``."""
    model: str
    """Path or name the model was loaded from."""
    questions: tuple[str, ...]
    """Sources of the questions, as ``--questions`` named them."""
    split: str
    results: Results
    answers: tuple[Answer, ...]
    seconds: float
    """Wall time of the forward passes."""
    bytes: int | None = None
    """Size of the weights on disk."""
    ledger: Ledger | None = None
    """Sparsity on every denominator; None for a dense model."""
    preference: tuple[float, float, float] | None = None
    """λ of the plan it was pruned by."""
    compensation: Compensation = "none"
    """How its neurons answer for those that left."""
    speedup: float | None = None
    """Dense wall time over this model's on the same questions, measured alternately in one process."""
    origin: Origin | None = None
    """The model's weights and the questions; None in results that older versions wrote."""

    def save(self, path: Path) -> None:
        """Writes the evaluation as JSON, atomically."""
        write_json(path, {**self.document(), "answers": [asdict(answer) for answer in self.answers]})

    def document(self) -> dict[str, Any]:
        """All but the answers, as JSON has it."""
        own = asdict(replace(self, answers=()))
        del own["answers"]
        return {**own, "results": self.results.document()}

    @classmethod
    def load(cls, path: Path) -> "Scorecard":
        """Reads the file that ``save`` wrote.

        Raises:
            IncompleteRunError: if the file is missing, cut off or no evaluation.
        """
        content = read_document(path, _ScorecardFile, remedy=_REMEDY, error=IncompleteRunError)
        try:
            results = Results.from_json(json.dumps(content.results), where=f"{path}, results")
        except InputError as error:
            raise IncompleteRunError(str(error)) from error
        said = {each.name: getattr(content, each.name) for each in fields(content)}
        return cls(**{**said, "results": results})


@dataclass(frozen=True, kw_only=True)
class _ScorecardFile:
    """What :meth:`Scorecard.save` writes."""

    label: str
    model: str
    questions: tuple[str, ...]
    split: str
    results: dict[str, Any]
    answers: tuple[Answer, ...]
    seconds: NotNegative
    bytes: Large | None = None
    ledger: Ledger | None = None
    preference: tuple[Share, Share, Share] | None = None
    compensation: Compensation = "none"
    speedup: Positive | None = None
    origin: Origin | None = None


def answer_questions(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> tuple[list[Answer], float]:
    """Asks every question once and returns the answers with the seconds the forward passes took.

    The answer given is the most probable of the allowed ones (Eq. 11's logits), so no answer can fail to parse
    and every method is read alike. To an open question the model answers in its own words.

    Args:
        adapter: the model that is asked.
        questions: in the order of the answers.
        batch_size: questions a forward pass, ≥ 1.
        progress: told (questions done, questions).

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
    """
    pictures = len(pictures_of(questions))
    encoding, asking = _two_parts(progress, pictures, len(questions))
    evaluator = Evaluator(adapter, questions, batch_size=batch_size, progress=encoding)
    prepared = evaluator.prepare()
    start = time.perf_counter()
    scores = evaluator.scores(prepared, progress=asking)
    seconds = time.perf_counter() - start
    margins = log_margins(scores, evaluator.gold)
    predictions = scores.predictions()
    own = _own_words(
        adapter, [q for q, given in zip(questions, predictions, strict=True) if q.is_open and given]
    )
    answers = [
        Answer(
            benchmark=question.benchmark,
            id=question.id,
            prompt=question.prompt,
            images=tuple(map(str, question.images)),
            gold=question.answer,
            given=own[question.id] if question.id in own else question.answers[int(given)],
            margin=round(float(margin), 4),
        )
        for question, given, margin in zip(questions, predictions, margins, strict=True)
    ]
    return answers, seconds


def _own_words(adapter: Adapter, questions: Sequence[Question]) -> dict[str, str]:
    """What the model says to open questions, by their ids, in as many tokens as the longest wanted answer needs.

    The dense model may have spelt that in more tokens than it takes: who is cut off within the wanted answer has said
    it as far as it was let.
    """
    wanted = max((len(adapter.spelling.sequence(question.answer)) for question in questions), default=0)
    answers = answer_freely(adapter, questions, max_tokens=wanted + 1)
    return {
        question.id: question.answer
        if answer.cut and answer.text and question.answer.startswith(answer.text)
        else answer.text
        for question, answer in zip(questions, answers, strict=True)
    }


def evaluate_model(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    label: str,
    model: str,
    specs: Sequence[str],
    split: str,
    rule: Rule = "official",
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Scorecard:
    """Official scores of a model on these questions.

    Args:
        adapter: the model that is asked.
        questions: of one or more benchmarks.
        label: its name in tables.
        model: path or name it was loaded from.
        specs: sources of the questions, as ``--questions`` named them.
        split: which of our splits they are, or ``all``.
        rule: whose reading of Yes and No.
        batch_size: questions a forward pass, ≥ 1.
        progress: told (questions done, questions).

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
    """
    answers, seconds = answer_questions(adapter, questions, batch_size=batch_size, progress=progress)
    texts = {answer.id: answer.given for answer in answers}
    return Scorecard(
        label=label,
        model=model,
        questions=tuple(specs),
        split=split,
        results=score(questions, texts, rule=rule),
        answers=tuple(answers),
        seconds=seconds,
        origin=Origin(weights=adapter.shape.fingerprint, questions=fingerprint_questions(questions)),
    )


def _two_parts(progress: Progress | None, first: int, second: int) -> tuple[Progress | None, Progress | None]:
    """Reports of two consecutive parts of a job as one job of ``first + second`` units."""
    if progress is None:
        return None, None
    return (
        lambda done, _: progress(done, first + second),
        lambda done, _: progress(first + done, first + second),
    )


def limit_questions(questions: Sequence[Question], limit: int | None, *, seed: int = 0) -> list[Question]:
    """At most ``limit`` questions a benchmark, drawn at random but the same for every model."""
    if limit is None:
        return list(questions)
    rng = np.random.default_rng([seed, 11])
    chosen: list[int] = []
    for benchmark in asked(questions):
        indices = [index for index, question in enumerate(questions) if question.benchmark == benchmark.name]
        chosen += rng.permutation(indices)[:limit].tolist()
    return [questions[index] for index in sorted(chosen)]
