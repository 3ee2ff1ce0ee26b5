"""From a model to answer scores, and from a plan to its objective vector (Eq. 2, Eq. 11).

One forward pass a batch of questions, logits at the answer position only. Image features do not depend on a
plan, so they are computed once, when the evaluator is made. Questions about one image stand behind it in one sequence.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hipp_prune.evaluation.features import IMAGE_MEMORY, encode_image_files
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter, Batch, ImageFeatures, PackedBatch
from hipp_prune.objectives.returns import AnswerScores, PlanScores, ReturnKind, answer_returns
from hipp_prune.plans.arrays import Ints
from hipp_prune.questions.benchmark import ROLES, Role
from hipp_prune.questions.benchmarks import asked
from hipp_prune.questions.question import Question

_PASS = 128
"""What a forward pass costs however small it is, in tokens: many small batches, or padding?"""
_NO_TOKEN = -1
"""Pads the table of answer tokens; masked to −inf after the gather."""


@dataclass(frozen=True, kw_only=True)
class PreparedBatch:
    """Questions encoded once, so that many plans can be asked them."""

    rows: Ints
    """Where each question stands in the prepared set, [B]."""
    batch: Batch | PackedBatch
    images: list[ImageFeatures]
    tokens: Tensor
    """Token ids of each allowed answer's variants, padded with −1, int64 [B, A, V]."""


class Evaluator:
    """Asks one model many times the same questions.

    Args:
        adapter: the model, in whatever state of pruning it is when ``scores`` is called.
        questions: everything it may ever be asked.
        batch_size: questions a forward pass.
        packed: whether questions about one image share a sequence, where the model allows it: the same scores, sooner.
        folder: where image features beyond ``memory`` are kept; without one all stay in memory.
        memory: bytes of image features that stay in memory.
        progress: told how many pictures have been encoded.

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
        RunError: if the disk is full.
    """

    def __init__(
        self,
        adapter: Adapter,
        questions: Sequence[Question],
        *,
        batch_size: int = 64,
        packed: bool = True,
        folder: Path | None = None,
        memory: int = IMAGE_MEMORY,
        progress: Progress | None = None,
    ) -> None:
        self.adapter = adapter
        self.questions = list(questions)
        self.batch_size = batch_size
        self.packed = packed
        self.gold: Ints = np.array([question.gold for question in questions], dtype=np.int64)
        self._features: Mapping[Path, ImageFeatures] = encode_image_files(
            adapter, questions, folder=folder, memory=memory, progress=progress
        )
        self._lengths: dict[int, int] = {}

    def prepare(self, indices: Ints | None = None) -> list[PreparedBatch]:
        """Encodes the questions with these indices (all by default) in batches of similar length.

        What shares an image shares a sequence, as far as a batch holds it.
        """
        chosen = np.arange(len(self.questions)) if indices is None else indices
        shares = sorted((self._length(chosen[rows]), rows) for rows in self._shares(chosen))
        batches = group_by_length(
            [length for length, _ in shares], [len(rows) for _, rows in shares], most=self.batch_size
        )
        return [
            self._prepare_batch(chosen, np.concatenate([rows for _, rows in shares[batch]]))
            for batch in batches
        ]

    def scores(self, prepared: Sequence[PreparedBatch], *, progress: Progress | None = None) -> AnswerScores:
        """Answer scores of all prepared questions, in the order of the indices they were prepared from."""
        total = sum(len(part.rows) for part in prepared)
        most = max((part.tokens.shape[1] for part in prepared), default=0)
        answers = np.full((total, most), -np.inf)
        rest = np.empty(total)
        done = 0
        for part in prepared:
            with torch.inference_mode():
                logits = self.adapter.answer_logits(part.batch, part.images)
                allowed, others = gather_answers(logits, part.tokens)
            answers[part.rows, : allowed.shape[1]] = allowed.double().cpu().numpy()
            rest[part.rows] = others.double().cpu().numpy()
            done += len(part.rows)
            if progress:
                progress(done, total)
        return AnswerScores(answers=answers, rest=rest)

    def _prepare_batch(self, chosen: Ints, rows: Ints) -> PreparedBatch:
        questions = [self.questions[chosen[row]] for row in rows]
        encode = self.adapter.pack if self.packed else self.adapter.encode
        batch, images = encode(questions, self._features)
        tokens = [
            [self.adapter.answer_tokens(answer) for answer in question.answers] for question in questions
        ]
        device = self.adapter.device
        return PreparedBatch(
            rows=rows,
            batch=batch,
            images=[replace(image, tokens=image.tokens.to(device)) for image in images],
            tokens=answer_table(tokens).to(device),
        )

    def _shares(self, chosen: Ints) -> list[list[int]]:
        """Rows of ``chosen`` that are to share a sequence, at most a batch of them."""
        about: dict[Path | int, list[int]] = defaultdict(list)
        for row, index in enumerate(chosen):
            image = self.questions[index].image if self.packed else None
            about[row if image is None else image].append(row)
        size = self.batch_size
        return [rows[start : start + size] for rows in about.values() for start in range(0, len(rows), size)]

    def _length(self, share: Ints) -> int:
        """How many tokens a sequence has, the conversation's own aside."""
        image = self.questions[share[0]].image
        tokens = 0 if image is None else len(self._features[image].tokens)
        for index in share:
            if index not in self._lengths:
                prompt = self.questions[index].prompt
                self._lengths[index] = len(self.adapter.processor.token_ids(prompt))
        return tokens + sum(self._lengths[index] for index in share)


def group_by_length(lengths: Sequence[int], sizes: Sequence[int], *, most: int) -> list[slice]:
    """Cuts sequences into the batches that cost least: each a forward pass, and every row as long as the longest.

    Args:
        lengths: tokens of each sequence, ascending.
        sizes: questions in each, at most ``most``.
        most: questions a batch.

    Returns:
        Batches in order, together all sequences.
    """
    costs, starts = [0], [0]
    for end in range(1, len(lengths) + 1):
        options, room = [], most
        for start in range(end - 1, -1, -1):
            room -= sizes[start]
            if room < 0:
                break
            options.append((costs[start] + _PASS + (end - start) * lengths[end - 1], start))
        cost, start = min(options)
        costs.append(cost)
        starts.append(start)
    batches, end = [], len(lengths)
    while end:
        batches.append(slice(starts[end], end))
        end = starts[end]
    return batches[::-1]


def gather_answers(logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """logsumexp of the logits of each allowed answer's tokens, and of everything else.

    Args:
        logits: at the answer position, [B, V].
        tokens: token ids of each answer's variants, padded with −1, [B, A, variants].

    Returns:
        Allowed answers [B, A] (−inf where there is none) and the rest of the vocabulary [B].
    """
    present = tokens != _NO_TOKEN
    flat = tokens.clamp(min=0).flatten(1)
    chosen = logits.gather(1, flat).view(tokens.shape)
    allowed = chosen.masked_fill(~present, -torch.inf).logsumexp(dim=2)
    marks = torch.zeros_like(logits).scatter_add_(1, flat, present.flatten(1).to(logits.dtype))
    rest = logits.masked_fill(marks > 0, -torch.inf).logsumexp(dim=1)
    return allowed, rest


def plan_scores(
    scores: AnswerScores, questions: Sequence[Question], *, kind: ReturnKind = "log-sigmoid", tau: float = 2.0
) -> PlanScores:
    """Returns and accuracies of the questions a plan answered.

    Each benchmark says how its questions' values become one (``Benchmark.mean``); a role is the mean over its
    benchmarks, by their weights.

    Args:
        scores: of the questions, in their order.
        questions: those that were asked.
        kind: what a margin counts for (Eq. 11).
        tau: temperature of the ``tanh`` return, in nats.
    """
    gold = np.array([question.gold for question in questions], dtype=np.int64)
    returns = answer_returns(scores, gold, kind=kind, tau=tau)
    right = (scores.predictions() == gold).astype(np.float64)
    of_role: dict[Role, list[tuple[float, float]]] = {role: [] for role in ROLES}
    accuracies = {}
    for benchmark in asked(questions):
        own = np.array([question.benchmark == benchmark.name for question in questions], dtype=bool)
        weight = questions[int(own.argmax())].weight
        of_role[benchmark.role].append((benchmark.mean(returns[own], gold[own]), weight))
        accuracies[benchmark.name] = benchmark.mean(right[own], gold[own])
    robustness, utility = map(_weighted_mean, of_role.values())
    return PlanScores(robustness=robustness, utility=utility, accuracies=accuracies)


def _weighted_mean(values: Sequence[tuple[float, float]]) -> float:
    """Of values, each before its weight; 0 for none."""
    total = sum(weight for _, weight in values)
    return sum(value * weight for value, weight in values) / total if values else 0.0


def answer_table(tokens: Sequence[Sequence[tuple[int, ...]]]) -> Tensor:
    """Token ids of each question's answers, padded with −1, int64 [B, A, variants]."""
    answers = max(len(variants) for variants in tokens)
    width = max(len(ids) for variants in tokens for ids in variants)
    table = np.full((len(tokens), answers, width), _NO_TOKEN)
    for row, variants in enumerate(tokens):
        for column, ids in enumerate(variants):
            table[row, column, : len(ids)] = ids
    return torch.from_numpy(table)
