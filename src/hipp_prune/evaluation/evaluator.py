"""From a model to answer scores, and from a plan to its objective vector (Eq. 2, Eq. 11).

One forward pass a batch of questions, logits at the answers' positions only. Image features do not depend on a
plan, so they are computed once, when the evaluator is made. Questions about one image stand behind it in one sequence.

A closed question whose answers are told apart by their first token is a row with one position. Any other answer is
forced on the model behind its prompt (``evaluation.sequences``): of an open question the one that is wanted, of a
closed one each that is allowed, a row each.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hipp_prune.errors import QuestionError
from hipp_prune.evaluation.features import IMAGE_MEMORY, encode_image_files
from hipp_prune.evaluation.sequences import (
    DenseAnswer,
    agrees,
    divergence,
    expected_along,
    is_greedy,
    log_probability,
    targets_of,
)
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter, Batch, ImageFeatures, PackedBatch
from hipp_prune.objectives.returns import (
    AnswerScores,
    PlanScores,
    ReturnKind,
    answer_returns,
    log_complement,
)
from hipp_prune.plans.arrays import Ints
from hipp_prune.questions.benchmark import ROLES, Role
from hipp_prune.questions.benchmarks import asked, is_of_dense
from hipp_prune.questions.question import Question

_PASS = 128
"""What a forward pass costs however small it is, in tokens: many small batches, or padding?"""
_NOTHING: tuple[tuple[int, ...], ...] = ((),)
"""Forced behind the prompt of a question that its first token answers."""
_NO_TOKEN = -1
"""Pads the table of answer tokens; masked to −inf after the gather."""


@dataclass(frozen=True, kw_only=True)
class ForcedAnswer:
    """An answer of several tokens behind its prompt."""

    row: int
    """Where its question stands in the prepared set."""
    question: int
    """Index of the question among all."""
    option: int
    """Which of its answers this is."""
    at: slice
    """Its positions among the batch's."""
    targets: Tensor
    """See ``targets_of``."""


@dataclass(frozen=True, kw_only=True)
class PreparedBatch:
    """Questions encoded once, so that many plans can be asked them."""

    rows: Ints
    """Where each question stands in the prepared set, [B]."""
    batch: Batch | PackedBatch
    images: list[ImageFeatures]
    first: Ints
    """Where those questions stand in it that their first token answers, [F]."""
    at: Tensor
    """Their positions among the batch's, int64 [F]."""
    tokens: Tensor
    """Token ids of each of their allowed answers' variants, padded with −1, int64 [F, A, V]."""
    forced: tuple[ForcedAnswer, ...]
    """The answers to all other questions."""


class Evaluator:
    """Asks one model many times the same questions.

    Args:
        adapter: the model, in whatever state of pruning it is when ``scores`` is called.
        questions: everything it may ever be asked.
        batch_size: questions a forward pass; an answer of several tokens counts once a token.
        packed: whether questions about one image share a sequence, where the model allows it: the same scores, sooner.
        folder: where image features beyond ``memory`` are kept; without one all stay in memory.
        memory: bytes of image features that stay in memory.
        progress: told how many pictures have been encoded.

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
        QuestionError: once a question without an answer is prepared.
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
        self._answers: dict[int, tuple[tuple[int, ...], ...]] = {}
        self._dense: dict[int, DenseAnswer] = {}

    def prepare(self, indices: Ints | None = None, *, dense: bool = False) -> list[PreparedBatch]:
        """Encodes the questions with these indices (all by default) in batches of similar length.

        What shares an image shares a sequence, as far as a batch holds it.

        Args:
            indices: which questions.
            dense: whether the model is the dense one now. Then what it expects along its own answers
                (``Benchmark.of_dense``) is found out and kept, and ``scores`` compares with that from now on.
        """
        chosen = np.arange(len(self.questions)) if indices is None else indices
        shares = sorted((self._length(chosen[rows]), rows) for rows in self._shares(chosen))
        batches = group_by_length(
            [length for length, _ in shares],
            [sum(self._positions(chosen[row]) for row in rows) for _, rows in shares],
            most=self.batch_size,
        )
        prepared = [
            self._prepare_batch(chosen, np.concatenate([rows for _, rows in shares[batch]]))
            for batch in batches
        ]
        if dense:
            for part in prepared:
                self._remember(part)
        return prepared

    def scores(self, prepared: Sequence[PreparedBatch], *, progress: Progress | None = None) -> AnswerScores:
        """Answer scores of all prepared questions, in the order of the indices they were prepared from."""
        total = sum(len(part.rows) for part in prepared)
        most = max((self._options(part) for part in prepared), default=0)
        scores = AnswerScores(
            answers=np.full((total, most), -np.inf),
            rest=np.zeros(total),
            greedy=np.full(total, -1) if any(part.forced for part in prepared) else None,
        )
        done = 0
        for part in prepared:
            with torch.inference_mode():
                logits = self.adapter.answer_logits(part.batch, part.images)
                self._score_first(part, logits, scores)
                self._score_forced(part, logits, scores)
            done += len(part.rows)
            if progress:
                progress(done, total)
        return scores

    def _score_first(self, part: PreparedBatch, logits: Tensor, scores: AnswerScores) -> None:
        """Fills in the rows of the questions that their first token answers."""
        if not len(part.first):
            return
        allowed, others = gather_answers(logits[part.at], part.tokens)
        scores.answers[part.first, : allowed.shape[1]] = allowed.double().cpu().numpy()
        scores.rest[part.first] = others.double().cpu().numpy()

    def _score_forced(self, part: PreparedBatch, logits: Tensor, scores: AnswerScores) -> None:
        """Fills in the rows of all other questions."""
        is_open = {answer.row: self.questions[answer.question].is_open for answer in part.forced}
        for answer in part.forced:
            along, dense = logits[answer.at], self._dense.get(answer.question)
            log_p = -divergence(along, dense) if dense else log_probability(along, answer.targets)
            scores.answers[answer.row, answer.option] = log_p
            if is_open[answer.row]:
                assert scores.greedy is not None
                exact = agrees(along, dense) if dense else is_greedy(along, answer.targets)
                scores.greedy[answer.row] = 0 if exact else 1
        texts = [row for row, free in is_open.items() if free]
        options = [row for row, free in is_open.items() if not free]
        scores.answers[texts, 1] = log_complement(scores.answers[texts, 0])
        scores.rest[options] = log_complement(np.logaddexp.reduce(scores.answers[options], axis=1))

    def _options(self, part: PreparedBatch) -> int:
        """Columns that a batch's answers take: an open question's answer, and everything else."""
        forced = max((max(answer.option + 1, 2) for answer in part.forced), default=0)
        return max(forced, part.tokens.shape[1])

    @torch.inference_mode()
    def _remember(self, part: PreparedBatch) -> None:
        """Finds out what the dense model expects along its own answers, where that is not known."""
        new = [
            answer
            for answer in part.forced
            if answer.question not in self._dense and is_of_dense(self.questions[answer.question])
        ]
        if new:
            logits = self.adapter.answer_logits(part.batch, part.images)
            self._dense |= {answer.question: expected_along(logits[answer.at]) for answer in new}

    def _prepare_batch(self, chosen: Ints, rows: Ints) -> PreparedBatch:
        asked: list[Question] = []
        behind: list[tuple[int, ...]] = []
        first: list[tuple[int, int]] = []
        forced: list[ForcedAnswer] = []
        device, place = self.adapter.device, 0
        for row in rows.tolist():
            index = int(chosen[row])
            question, answers = self.questions[index], self._forced(index)
            if answers == _NOTHING:
                first.append((row, place))
            for option, tokens in enumerate(answers):
                at = slice(place, place := place + len(tokens) + 1)
                asked.append(question)
                behind.append(tokens)
                if answers != _NOTHING:
                    targets = targets_of(tokens, self.adapter.spelling.ends, cut=question.cut).to(device)
                    forced.append(
                        ForcedAnswer(row=row, question=index, option=option, at=at, targets=targets)
                    )
        encode = self.adapter.pack if self.packed else self.adapter.encode
        batch, images = encode(asked, self._features, behind)
        variants = [
            [self.adapter.answer_tokens(answer) for answer in self.questions[chosen[row]].answers]
            for row, _ in first
        ]
        return PreparedBatch(
            rows=rows,
            batch=batch,
            images=[replace(image, tokens=image.tokens.to(device)) for image in images],
            first=np.array([row for row, _ in first], dtype=np.int64),
            at=torch.tensor([at for _, at in first], dtype=torch.long, device=device),
            tokens=answer_table(variants).to(device),
            forced=tuple(forced),
        )

    def _forced(self, index: int) -> tuple[tuple[int, ...], ...]:
        """The tokens forced behind a question's prompt, a row each; one without any where the first token answers.

        Raises:
            QuestionError: if its answer is not known.
        """
        if index not in self._answers:
            question, spelling = self.questions[index], self.adapter.spelling
            if question.is_unlabelled:
                raise QuestionError(
                    f"question {question.id} has no answer to score by; give the dense model's answers, which "
                    f"calibrate wrote, as in agreement:RUN/agreement.jsonl"
                )
            told = not question.is_open and spelling.tells_apart(question.answers)
            self._answers[index] = _NOTHING if told else tuple(map(spelling.sequence, question.answers))
        return self._answers[index]

    def _positions(self, index: int) -> int:
        """What a question takes of a batch."""
        return min(self.batch_size, sum(len(tokens) + 1 for tokens in self._forced(index)))

    def _shares(self, chosen: Ints) -> list[list[int]]:
        """Rows of ``chosen`` that are to share a sequence, at most a batch of them."""
        about: dict[tuple[Path, ...] | int, list[int]] = defaultdict(list)
        for row, index in enumerate(chosen):
            images = self.questions[index].images if self.packed else ()
            about[images or row].append(row)
        shares: list[list[int]] = []
        for rows in about.values():
            room = 0
            for row in rows:
                positions = self._positions(chosen[row])
                if positions > room:
                    shares.append([])
                    room = self.batch_size
                shares[-1].append(row)
                room -= positions
        return shares

    def _length(self, share: Ints) -> int:
        """How many tokens a sequence has, the conversation's own aside."""
        seen = self.adapter.seen(self.questions[share[0]], self._features)
        tokens = sum(len(features.tokens) for features in seen)
        for index in share:
            if index not in self._lengths:
                prompt = self.questions[index].prompt
                length = len(self.adapter.processor.token_ids(prompt))
                self._lengths[index] = sum(length + len(forced) for forced in self._forced(index))
        return tokens + sum(self._lengths[index] for index in share)


def group_by_length(lengths: Sequence[int], sizes: Sequence[int], *, most: int) -> list[slice]:
    """Cuts sequences into the batches that cost least: each a forward pass, and every row as long as the longest.

    Args:
        lengths: tokens of each sequence, ascending.
        sizes: positions that are answered in each, at most ``most``.
        most: of those a batch.

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
    answers = max((len(variants) for variants in tokens), default=0)
    width = max((len(ids) for variants in tokens for ids in variants), default=0)
    table = np.full((len(tokens), answers, width), _NO_TOKEN)
    for row, variants in enumerate(tokens):
        for column, ids in enumerate(variants):
            table[row, column, : len(ids)] = ids
    return torch.from_numpy(table)
