"""The loop: draw a batch, ask it, follow the gradient of the loss.

A step depends on nothing but the state before it and the seed, so a recovery goes on from any saved state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor, nn

from hipp_prune.errors import InputError
from hipp_prune.evaluation.evaluator import answer_table, gather_answers
from hipp_prune.files.progress import Progress
from hipp_prune.files.watching import watch
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.minibatches import Minibatches
from hipp_prune.questions.question import Question, group_of, pictures_of
from hipp_prune.recovery.loss import AnswerLogits, recovery_loss
from hipp_prune.recovery.parts import Parts
from hipp_prune.recovery.pictures import Show
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.recovery.state import StateFile

LARGEST_GRADIENT = 1.0
"""Gradients of a larger norm are scaled down to it."""


@dataclass(frozen=True, kw_only=True)
class Student:
    """A model and what it sees."""

    adapter: Adapter
    show: Show

    def logits(self, questions: Sequence[Question], *, packed: bool = True) -> Tensor:
        """Logits at the answer position, float32 [B, V]; questions about one picture share a sequence."""
        features = self.show(pictures_of(questions))
        encode = self.adapter.pack if packed else self.adapter.encode
        batch, images = encode(questions, features)
        return self.adapter.answer_logits(batch, images)

    def answers(self, questions: Sequence[Question], logits: Tensor) -> AnswerLogits:
        """The allowed answers' scores among ``logits`` [B, V]."""
        spellings = [[self.adapter.answer_tokens(answer) for answer in q.answers] for q in questions]
        allowed, rest = gather_answers(logits, answer_table(spellings).to(logits.device))
        yes = [q.answers.index("Yes") if q.is_yes_no else -1 for q in questions]
        return AnswerLogits(
            allowed=allowed,
            rest=rest,
            gold=torch.tensor([q.gold for q in questions], device=logits.device),
            yes=torch.tensor(yes, device=logits.device),
        )


def train(
    student: Student,
    parts: Parts,
    questions: Sequence[Question],
    settings: RecoverySettings,
    *,
    robust_share: float,
    state: StateFile,
    teacher: Student | None = None,
    progress: Progress | None = None,
) -> list[float]:
    """Trains ``parts`` in place, from where ``state`` stands.

    Args:
        student: the pruned model.
        parts: what of it is trained.
        questions: the recovery split.
        settings: settings.
        robust_share: share of robustness questions in a batch.
        state: read at the start, written every ``settings.save_every`` steps.
        teacher: the dense model.
        progress: told (steps done, steps), before the first too.

    Returns:
        The loss of every step.

    Raises:
        RunError: if the disk is full, or the state belongs to another recovery.
        InputError: if the teacher has another vocabulary, or the loss is no longer a finite number.
    """
    optimizer = torch.optim.AdamW(
        [
            {"params": list(parts.whole.values()), "lr": settings.rate},
            {"params": list(parts.factors.values()), "lr": settings.lora_rate},
        ],
        weight_decay=0.0,
        foreach=False,
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    parameters = parts.parameters
    losses = state.restore(parameters, optimizer)
    minibatches = Minibatches(questions)
    if progress and len(losses) < settings.steps:
        progress(len(losses), settings.steps)
    for step in range(len(losses), settings.steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * rise_and_fall(step, settings)
        rng = np.random.default_rng([settings.seed, step])
        drawn = minibatches.draw(
            settings.batch_size, rng, robust_share=robust_share, per_image=settings.per_image
        )
        optimizer.zero_grad()
        loss = follow_loss(student, [questions[index] for index in drawn], settings, teacher)
        _check_finite(loss, step)
        nn.utils.clip_grad_norm_(parameters.values(), LARGEST_GRADIENT)
        optimizer.step()
        losses.append(loss)
        if len(losses) % settings.save_every == 0 or len(losses) == settings.steps:
            state.save(parameters, optimizer, losses)
        watch("recovery", len(losses), {"loss": loss, **_rates(optimizer)})
        if progress:
            progress(len(losses), settings.steps)
    return losses


def _rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    whole, factors = (group["lr"] for group in optimizer.param_groups)
    return {"rate": whole, "lora_rate": factors}


def follow_loss(
    student: Student, questions: Sequence[Question], settings: RecoverySettings, teacher: Student | None
) -> float:
    """Adds the gradient of one batch's loss to the trained parameters; returns the loss.

    The loss couples all questions of a batch (class means, Yes-rate). Where they do not fit a pass, it is taken of
    logits without a graph, and its gradient at them then goes back through one pass at a time.

    Args:
        student: the model in training.
        questions: the batch.
        settings: weights of the loss's terms, and questions a pass.
        teacher: the dense model, to distil from; None for no distillation.
    """
    by_picture = sorted(questions, key=lambda question: (not question.images, group_of(question.images, "")))
    starts = range(0, len(by_picture), settings.pass_size)
    passes = [by_picture[start : start + settings.pass_size] for start in starts]
    with torch.set_grad_enabled(len(passes) == 1):
        logits = torch.cat([student.logits(asked) for asked in passes])
    told = None if teacher is None else _teacher_logits(teacher, passes, logits)
    if len(passes) > 1:
        logits.requires_grad_()
    loss = recovery_loss(settings, student.answers(by_picture, logits), logits, told)
    torch.autograd.backward(loss)
    if len(passes) > 1:
        assert logits.grad is not None, "the loss depends on its logits"
        for asked, gradient in zip(passes, logits.grad.split(settings.pass_size), strict=True):
            torch.autograd.backward(student.logits(asked), gradient)
    return loss.item()


def _teacher_logits(teacher: Student, passes: Sequence[Sequence[Question]], logits: Tensor) -> Tensor:
    with torch.no_grad():
        told = torch.cat([teacher.logits(asked) for asked in passes]).to(logits.device)
    if told.shape != logits.shape:
        raise InputError(
            f"the teacher's vocabulary has {told.shape[1]} tokens, the model's {logits.shape[1]}; give the dense model "
            "the checkpoint was pruned from"
        )
    return told


def rise_and_fall(step: int, settings: RecoverySettings) -> float:
    """Factor of the learning rate at ``step`` (from 0), in (0, 1]: linear up during warm-up, linear to 0 at the end."""
    warm_up = settings.warm_up * settings.steps
    up = (step + 1) / warm_up if warm_up else 1.0
    return min(up, (settings.steps - step) / max(1.0, settings.steps - warm_up), 1.0)


def _check_finite(loss: float, step: int) -> None:
    if not isfinite(loss):
        raise InputError(
            f"the loss became {loss} at step {step + 1}; use smaller --rate and --lora-rate, or --dtype float32"
        )
