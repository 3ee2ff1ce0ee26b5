"""The loss of a recovery: one number a batch from the logits at the answer position (Section 2.7)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hipp_prune.recovery.settings import RecoverySettings


@dataclass(frozen=True, kw_only=True)
class AnswerLogits:
    """What a model says to B questions, of which some are answered Yes or No; A is the most allowed answers."""

    allowed: Tensor
    """logsumexp of the logits of each allowed answer's tokens, [B, A]; −inf where there is no such answer."""
    rest: Tensor
    """logsumexp of the logits of the rest of the vocabulary, [B]."""
    gold: Tensor
    """Index of the right answer, int64 [B]."""
    yes: Tensor
    """Index of the answer Yes, −1 where it is no Yes/No question; int64 [B]."""


def next_token_loss(answers: AnswerLogits) -> Tensor:
    """Mean of −log p(gold answer) over the whole vocabulary, its spellings taken together, []."""
    total = torch.logaddexp(answers.allowed.logsumexp(1), answers.rest)
    return (total - _gold(answers)).mean()


def margins(answers: AnswerLogits) -> Tensor:
    """Eq. 11, differentiable: log-odds of the right answer against the other allowed ones, [B]."""
    others = answers.allowed.scatter(1, answers.gold[:, None], -torch.inf)
    return _gold(answers) - others.logsumexp(1)


def yes_no_loss(answers: AnswerLogits) -> Tensor:
    """−log σ(m) over Yes/No questions: the mean over gold Yes and gold No of the mean within each, []; 0 for none."""
    asked = answers.yes >= 0
    losses, is_yes = -functional.logsigmoid(margins(answers)), answers.gold == answers.yes
    means = [losses[members].mean() for members in (asked & is_yes, asked & ~is_yes) if members.any()]
    return torch.stack(means).mean() if means else losses.new_zeros(())


def hinge_loss(answers: AnswerLogits, margin: float) -> Tensor:
    """Mean of max(0, δ − m(x)), []."""
    return (margin - margins(answers)).clamp(min=0).mean()


def yes_rate_loss(answers: AnswerLogits) -> Tensor:
    """(mean p(Yes) − ½)² over Yes/No questions, p among the allowed answers, []; 0 for none.

    The mean probability stands for the Yes-rate, which has no gradient. Batches hold as many gold Yes as No.
    """
    asked = answers.yes >= 0
    if not asked.any():
        return answers.rest.new_zeros(())
    share = answers.allowed[asked].softmax(1).gather(1, answers.yes[asked][:, None])
    return (share.mean() - 0.5) ** 2


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean KL(teacher ∥ model) over the vocabulary, of logits [B, V], []."""
    log_model, log_teacher = logits.log_softmax(1), teacher.log_softmax(1)
    return (log_teacher.exp() * (log_teacher - log_model)).sum(1).mean()


def recovery_loss(
    settings: RecoverySettings, answers: AnswerLogits, logits: Tensor, teacher: Tensor | None
) -> Tensor:
    """The weighted sum of all terms, []; a weight of 0 leaves its term out.

    Args:
        settings: the weights.
        answers: from ``logits``.
        logits: at the answer position, [B, V].
        teacher: the dense model's, [B, V]; none where nothing is distilled.
    """
    terms = [
        (settings.next_token, lambda: next_token_loss(answers)),
        (settings.yes_no, lambda: yes_no_loss(answers)),
        (settings.hinge, lambda: hinge_loss(answers, settings.margin)),
        (settings.yes_rate, lambda: yes_rate_loss(answers)),
    ]
    if teacher is not None:
        terms.append((settings.distill, lambda: distillation_loss(logits, teacher)))
    return sum((weight * term() for weight, term in terms if weight), start=logits.new_zeros(()))


def _gold(answers: AnswerLogits) -> Tensor:
    return answers.allowed.gather(1, answers.gold[:, None])[:, 0]
