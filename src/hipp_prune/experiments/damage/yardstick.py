"""How a changed model answers, and how far it is from the dense one: measured on the same items every time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.models.adapter import Adapter, Batch
from hipp_prune.questions.question import Question

TEXTS = "texts"
"""What held-out texts are called among the question files."""
_TOKENS = 128
"""Of a window; longer ones are cut."""
_EVERY = 4
"""Positions of a window whose distributions are compared: one in so many."""
_AT_ONCE = 8
"""Windows a forward pass: their logits are the largest thing in memory."""


class TextYardstick:
    """KL(dense ∥ model) of windows of text, the model being the dense one when this is made.

    Args:
        adapter: of the model.
        windows: texts, at least one.
    """

    def __init__(self, adapter: Adapter, windows: Sequence[str]) -> None:
        self._adapter = adapter
        parts = [windows[start : start + _AT_ONCE] for start in range(0, len(windows), _AT_ONCE)]
        self._batches = [_whole(adapter.encode_texts(part, most=_TOKENS)) for part in parts]
        self._dense = [self._log_probabilities(batch) for batch in self._batches]

    def divergences(self) -> list[float]:
        """Of every window, in nats a position."""
        found: list[float] = []
        for batch, dense in zip(self._batches, self._dense, strict=True):
            now, before = self._log_probabilities(batch), dense
            kl = (before.exp() * (before - now)).sum(-1)
            found += [float(part.mean()) for part in kl.split(_positions(batch))]
        return found

    @torch.inference_mode()
    def _log_probabilities(self, batch: Batch) -> Tensor:
        """At every fourth position of each window, behind each other, [positions, V]."""
        logits = self._adapter.answer_logits(batch, [])
        rows = logits.split([length + 1 for length in batch.forced])
        return torch.cat([row[_EVERY - 1 :: _EVERY] for row in rows]).log_softmax(-1)


def _whole(batch: Batch) -> Batch:
    """A batch of which every position is asked for."""
    return replace(batch, forced=tuple(int(last) for last in batch.last))


def _positions(batch: Batch) -> list[int]:
    return [(length + 1) // _EVERY for length in batch.forced]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one model did on all items, a list a question file, in the order of ``Yardstick.items``."""

    right: dict[str, list[int]]
    """1 where a question with an answer of its own was answered right, else 0."""
    kl: dict[str, list[float]]
    """KL to the dense model, in nats a token: of questions that have only its answer, and of texts."""


class Yardstick:
    """Measures the model behind an adapter, which is the dense one when this is made.

    Args:
        adapter: of the model.
        questions: all of them answered, by a person or by the dense model.
        windows: of held-out text.
    """

    def __init__(self, adapter: Adapter, questions: Sequence[Question], windows: Sequence[str]) -> None:
        self._questions = questions
        self._texts = TextYardstick(adapter, windows) if windows else None
        self._evaluator = Evaluator(adapter, questions)
        self._prepared = self._evaluator.prepare(dense=True)
        self.items = _items(questions) | ({TEXTS: list(range(len(windows)))} if windows else {})
        """Number of the picture, prompt or text that each item is of, by question file."""

    def measure(self) -> Measured:
        """The model as it is now."""
        scores = self._evaluator.scores(self._prepared)
        right: dict[str, list[int]] = {}
        kl: dict[str, list[float]] = {}
        predictions = scores.predictions()
        for row, question in enumerate(self._questions):
            name = file_of(question)
            if question.is_open:
                kl.setdefault(name, []).append(round(-float(scores.answers[row, 0]), 6))
            else:
                right.setdefault(name, []).append(int(predictions[row] == question.gold))
        if self._texts is not None:
            kl[TEXTS] = [round(value, 6) for value in self._texts.divergences()]
        return Measured(right=right, kl=kl)


def file_of(question: Question) -> str:
    """What a question's results are listed under: its file's name, or its benchmark's."""
    return question.benchmark if question.subset in ("", "all") else question.subset


def _items(questions: Sequence[Question]) -> dict[str, list[int]]:
    numbers: dict[str, int] = {}
    items: dict[str, list[int]] = {}
    for question in questions:
        items.setdefault(file_of(question), []).append(numbers.setdefault(question.group, len(numbers)))
    return items


def at_most_a_file(questions: Sequence[Question], count: int, *, seed: int) -> list[Question]:
    """At most so many questions of each file, in their order; which ones depends on the seed and their ids alone."""

    def chance(question: Question) -> bytes:
        return hashlib.sha256(f"{seed}\n{question.id}".encode()).digest()

    by_file: dict[str, list[Question]] = {}
    for question in sorted(questions, key=chance):
        by_file.setdefault(file_of(question), []).append(question)
    chosen = {id(question) for members in by_file.values() for question in members[:count]}
    return [question for question in questions if id(question) in chosen]


def mean(values: Sequence[float]) -> float:
    """The mean of at least one number."""
    return float(np.mean(values))
