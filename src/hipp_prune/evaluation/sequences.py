"""Answers of several tokens: how probable a model finds one, and how far it is from the dense model along it.

An answer of n tokens is forced on the model (teacher forcing), whose logits are read at n + 1 positions: at each of its
tokens, and behind the last one, where the answer ends or goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LIKELIEST = 64
"""Tokens of the dense model's distribution that are kept a position; all others count as one: 0.5 kB a token of an
answer rather than the 0.6 MB of a vocabulary of 150,000, which 3,000 captions of 20 tokens would make 36 GB."""
_NO_TOKEN = -1


@dataclass(frozen=True, kw_only=True)
class DenseAnswer:
    """What the dense model expects along an answer of n tokens, on the CPU."""

    tokens: Tensor
    """Its likeliest tokens at each position, likeliest first, int32 [n + 1, k]."""
    log_probabilities: Tensor
    """Of these, and in the last column of all others together, float32 [n + 1, k + 1]."""


def expected_along(logits: Tensor) -> DenseAnswer:
    """What to remember of the dense model's logits along an answer, [n + 1, V]."""
    tokens = logits.topk(min(LIKELIEST, logits.shape[-1]), dim=-1).indices
    return DenseAnswer(tokens=tokens.int().cpu(), log_probabilities=_coarse(logits, tokens).float().cpu())


def divergence(logits: Tensor, dense: DenseAnswer) -> float:
    """KL(dense ∥ model) in nats, ≥ 0: the mean over the positions along an answer.

    A mean and no sum, so that every question counts alike, however much the dense model has to say. What is left out
    between tokens that count as one makes it smaller than over the whole vocabulary, and never negative.

    Args:
        logits: of the model, [n + 1, V].
        dense: what the dense model expects.
    """
    log_p = dense.log_probabilities.to(logits.device)
    log_q = _coarse(logits, dense.tokens.to(logits.device).long())
    terms = torch.where(log_p > -torch.inf, log_p.exp() * (log_p - log_q), 0.0)
    return max(0.0, float(terms.sum(-1).mean()))


def agrees(logits: Tensor, dense: DenseAnswer) -> bool:
    """Whether the dense model's likeliest token is the likeliest by logits [n + 1, V] too, at every position."""
    chosen = logits.gather(1, dense.tokens[:, :1].to(logits.device).long())[:, 0]
    return torch.equal(chosen, logits.amax(-1))


def log_probability(logits: Tensor, targets: Tensor) -> float:
    """log p of an answer, ≤ 0: the sum over its positions.

    Args:
        logits: along the answer, [≥ m, V].
        targets: tokens any of which continues it at each position, padded with −1, int64 [m, E].
    """
    logits = logits[: len(targets)]
    chosen = logits.gather(1, targets.clamp(min=0)).masked_fill(targets == _NO_TOKEN, -torch.inf)
    return min(0.0, float((chosen.logsumexp(1) - logits.logsumexp(1)).sum()))


def is_greedy(logits: Tensor, targets: Tensor) -> bool:
    """Whether greedy decoding gives an answer; arguments as for ``log_probability``."""
    return bool((logits[: len(targets)].argmax(-1)[:, None] == targets).any(1).all())


def targets_of(tokens: Sequence[int], ends: Sequence[int], *, cut: bool) -> Tensor:
    """What continues an answer at each of its positions, padded with −1, int64 [n or n + 1, E].

    Args:
        tokens: the n tokens of the answer.
        ends: tokens any of which ends it; where there are none, its end is not asked for.
        cut: whether it goes on beyond these tokens, so that its end is not asked for either.
    """
    wanted = [[token] for token in tokens] + ([] if cut or not ends else [list(ends)])
    width = max(map(len, wanted), default=1)
    padded = [row + [_NO_TOKEN] * (width - len(row)) for row in wanted]
    return torch.tensor(padded, dtype=torch.long).reshape(len(wanted), width)


def _coarse(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities of tokens [n + 1, k], and in the last column of all others together, [n + 1, k + 1]."""
    others = logits.scatter(1, tokens, -torch.inf).logsumexp(1, keepdim=True)
    return torch.cat([logits.gather(1, tokens), others], dim=1) - logits.logsumexp(1, keepdim=True)
