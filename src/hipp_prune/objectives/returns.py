"""Returns of a plan: log-margins, their class-balanced means, compression, running normalisation (Eq. 11–12)."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hipp_prune.plans.arrays import Float, Floats, Int, Ints, Reduced

ReturnKind = Literal["log-sigmoid", "tanh", "margin", "paper-literal"]
"""How a margin m becomes a return (Eq. 11): log σ(m), tanh(m/τ), m itself (the paper's), or the literal reading
of the paper's T_x and C_x, which measures the answer's *format* only."""


_CERTAIN = -1e-9
"""A log-probability nearer to 0 is taken for this one, so that log-odds are finite: at most 20.7."""


@dataclass(frozen=True, kw_only=True)
class AnswerScores:
    """What one forward pass says about Q questions; A is the largest number of allowed answers.

    An open question's row holds (log p, log(1 − p)), where p is the probability of its answer, token by token; so its
    margin is p's log-odds, and its ``log-sigmoid`` return log p. Where the answer is compared with the dense model's,
    log p is −KL(dense ∥ model), the mean over the answer's tokens.
    """

    answers: Float[Floats, "questions options"]
    """logsumexp of the logits of each allowed answer's tokens, or log-probabilities of whole answers, [Q, A]; −inf
    where there is no such answer."""
    rest: Float[Floats, "questions"]
    """logsumexp of the logits of all other tokens of the vocabulary, or the log-probability of all other answers; 0 of
    an open question, which allows every text; [Q]."""
    greedy: Int[Ints, "questions"] | None = None
    """What greedy decoding says to an open question, [Q]: 0 the very answer, 1 something else; −1 at closed questions.
    None where all are closed."""

    def predictions(self) -> Int[Ints, "questions"]:
        """Index of the most probable allowed answer, [Q]; ``greedy`` at open questions."""
        likeliest = self.answers.argmax(axis=1)
        return likeliest if self.greedy is None else np.where(self.greedy >= 0, self.greedy, likeliest)


@dataclass(frozen=True, kw_only=True)
class PlanScores:
    """What one plan scored on one minibatch; a role without questions scores 0."""

    robustness: float
    """R_rob, raw: the mean over the benchmarks of that role."""
    utility: float
    """R_util, raw: likewise."""
    accuracies: dict[str, float]
    """Accuracy on its questions of each benchmark that was asked, in [0, 1]."""


def log_complement(log_p: Float[Floats, "*shape"]) -> Float[Floats, "*shape"]:
    """log(1 − p) for log p ≤ 0, finite: a p nearer to 1 than 10⁻⁹ counts as that near."""
    log_p = np.minimum(log_p, _CERTAIN)
    near = log_p > -np.log(2)
    return np.where(near, np.log(-np.expm1(np.where(near, log_p, -1.0))), np.log1p(-np.exp(log_p)))


def log_margins(scores: AnswerScores, gold: Int[Ints, "questions"]) -> Float[Floats, "questions"]:
    """Eq. 11: m(x) = logsumexp over the gold answer's tokens − logsumexp over the other allowed answers'.

    Args:
        scores: answer scores of Q questions.
        gold: index of each question's right answer, [Q].

    Returns:
        Margins, [Q]; positive where the right answer is more probable than all others together.
    """
    rows = np.arange(len(gold))
    others = scores.answers.copy()
    others[rows, gold] = -np.inf
    return scores.answers[rows, gold] - np.logaddexp.reduce(others, axis=1)


def answer_returns(
    scores: AnswerScores, gold: Int[Ints, "questions"], *, kind: ReturnKind, tau: float = 2.0
) -> Float[Floats, "questions"]:
    """Per-question return of each kind, [Q].

    ``log-sigmoid`` is the log-probability of the right answer among the allowed ones. Unlike a linear margin,
    its class-balanced mean falls when a constant is added to every Yes logit, so it sees Yes-collapse.
    ``paper-literal`` is 0 of an open question, whose answer has no format to keep.

    Args:
        scores: log-probabilities of the allowed answers.
        gold: index of the right answer, [Q].
        kind: what a margin counts for.
        tau: temperature of ``tanh``, in nats, > 0.
    """
    if kind == "paper-literal":
        return np.logaddexp.reduce(scores.answers, axis=1) - scores.rest
    margins = log_margins(scores, gold)
    if kind == "margin":
        return margins
    if kind == "tanh":
        return np.tanh(margins / tau)
    return -np.logaddexp(0.0, -margins)


def compression_return(
    sparsity: Float[Reduced, "*plans"], *, s_lo: float, s_hi: float
) -> Float[Reduced, "*plans"]:
    """R_comp: 0 below ``s_lo``, 1 above ``s_hi``, linear between; constant 0 where both are equal."""
    if s_hi <= s_lo:
        return np.zeros_like(sparsity)
    return np.clip((sparsity - s_lo) / (s_hi - s_lo), 0.0, 1.0)


@dataclass(kw_only=True)
class RunningNormaliser:
    """Eq. 12: R̃_k = clip((R_k − μ_k)/(σ_k + ε), −c, c) with μ, σ over all groups seen so far.

    Moments are merged exactly (Chan et al., 1979), so it makes no difference in which chunks a group arrives.
    """

    clip: float = 5.0
    """c, in standard deviations."""
    epsilon: float = 1e-6
    count: int = 0
    mean: Float[Floats, "3"] = field(default_factory=lambda: np.zeros(3))
    """μ, [3]."""
    scatter: Float[Floats, "3"] = field(default_factory=lambda: np.zeros(3))
    """Σ (R − μ)², [3]."""

    def update(self, returns: Float[Floats, "plans 3"]) -> None:
        """Adds raw returns [n, 3]; non-finite rows (plans that were not evaluated) are left out."""
        rows = returns[np.isfinite(returns).all(axis=1)]
        if not len(rows):
            return
        mean = rows.mean(axis=0)
        scatter = ((rows - mean) ** 2).sum(axis=0)
        total = self.count + len(rows)
        shift = mean - self.mean
        self.scatter = self.scatter + scatter + shift**2 * self.count * len(rows) / total
        self.mean = self.mean + shift * len(rows) / total
        self.count = total

    @property
    def std(self) -> Float[Floats, "3"]:
        """σ, [3]; an objective that has not varied yet has σ = 0."""
        return np.sqrt(self.scatter / max(self.count - 1, 1))

    def __call__(self, returns: Float[Floats, "*plans 3"]) -> Float[Floats, "*plans 3"]:
        """Normalised returns, same shape as ``returns`` [..., 3]; an objective with σ = 0 maps to 0."""
        varies = self.std > self.epsilon
        scaled = (returns - self.mean) / (self.std + self.epsilon)
        return np.clip(np.where(varies, scaled, 0.0), -self.clip, self.clip)
