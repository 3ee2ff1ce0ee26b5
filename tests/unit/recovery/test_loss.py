from math import exp, log, log1p

import numpy as np
import pytest
import torch

from hipp_prune.evaluation.evaluator import answer_table, gather_answers
from hipp_prune.objectives.returns import AnswerScores, log_margins
from hipp_prune.recovery.loss import (
    AnswerLogits,
    distillation_loss,
    hinge_loss,
    margins,
    next_token_loss,
    recovery_loss,
    yes_no_loss,
    yes_rate_loss,
)
from hipp_prune.recovery.settings import RecoverySettings

INF = float("inf")


def yes_no(logits: list[tuple[float, float]], gold: list[int]) -> AnswerLogits:
    """Yes/No questions whose other tokens have no weight; Yes comes first."""
    return AnswerLogits(
        allowed=torch.tensor(logits),
        rest=torch.full((len(gold),), -INF),
        gold=torch.tensor(gold),
        yes=torch.zeros(len(gold), dtype=torch.long),
    )


def test_the_next_token_loss_counts_all_spellings_of_the_answer_and_the_whole_vocabulary():
    logits = torch.tensor([[1.0, 2.0, 0.5, -1.0, 3.0]])
    allowed, rest = gather_answers(logits, answer_table([[(0, 1), (2,)]]))
    answers = AnswerLogits(allowed=allowed, rest=rest, gold=torch.tensor([0]), yes=torch.tensor([0]))
    expected = -log((exp(1) + exp(2)) / (exp(1) + exp(2) + exp(0.5) + exp(-1) + exp(3)))
    assert next_token_loss(answers).item() == pytest.approx(expected, rel=1e-5)


def test_margins_are_those_of_the_evaluator():
    allowed = torch.tensor([[1.0, 2.0, -1.0], [0.5, 3.0, -INF]])
    answers = AnswerLogits(
        allowed=allowed, rest=torch.zeros(2), gold=torch.tensor([2, 0]), yes=torch.tensor([-1, -1])
    )
    reference = log_margins(
        AnswerScores(answers=allowed.double().numpy(), rest=np.zeros(2)), np.array([2, 0])
    )
    np.testing.assert_allclose(margins(answers).numpy(), reference, rtol=1e-5)


def test_the_yes_no_loss_weighs_both_answers_alike_however_many_there_are():
    seldom = yes_no([(1.0, 0.0), (0.0, 1.0)], [0, 0])
    often = yes_no([(1.0, 0.0), (0.0, 1.0), (0.0, 2.0)], [0, 0, 1])
    yes = (log1p(exp(-1)) + log1p(exp(1))) / 2
    assert yes_no_loss(seldom).item() == pytest.approx(yes, rel=1e-5)
    assert yes_no_loss(often).item() == pytest.approx((yes + log1p(exp(-2))) / 2, rel=1e-5)


def test_the_hinge_asks_for_a_margin_and_no_more():
    answers = yes_no([(3.0, 0.0), (0.25, 0.0), (0.0, 1.0)], [0, 0, 0])
    assert hinge_loss(answers, 1.0).item() == pytest.approx((0 + 0.75 + 2.0) / 3)


def test_the_yes_rate_is_the_mean_probability_of_yes():
    answers = yes_no([(log(3), 0.0), (0.0, 0.0)], [0, 1])
    assert yes_rate_loss(answers).item() == pytest.approx(((0.75 + 0.5) / 2 - 0.5) ** 2)
    assert yes_rate_loss(yes_no([(2.0, 0.0), (0.0, 2.0)], [0, 1])).item() == pytest.approx(0, abs=1e-12)


def test_yes_terms_leave_multiple_choice_questions_alone():
    answers = AnswerLogits(
        allowed=torch.tensor([[1.0, 0.0]]),
        rest=torch.zeros(1),
        gold=torch.tensor([0]),
        yes=torch.tensor([-1]),
    )
    assert yes_rate_loss(answers).item() == yes_no_loss(answers).item() == 0


def test_distillation_is_the_divergence_from_the_teacher():
    model, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[log(3), 0.0]])
    assert distillation_loss(model, teacher).item() == pytest.approx(
        0.75 * log(1.5) + 0.25 * log(0.5), rel=1e-5
    )
    assert distillation_loss(teacher + 2, teacher).item() == pytest.approx(0, abs=1e-6)


def test_every_term_has_a_finite_gradient_where_questions_have_fewer_answers():
    logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    allowed, rest = gather_answers(logits, answer_table([[(0,), (1,)], [(2,), (3,), (4, 5)], [(1,), (0,)]]))
    answers = AnswerLogits(
        allowed=allowed, rest=rest, gold=torch.tensor([0, 1, 1]), yes=torch.tensor([0, -1, 0])
    )
    recovery_loss(RecoverySettings(), answers, logits, torch.zeros(3, 6)).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize("term", ["next_token", "yes_no", "hinge", "yes_rate", "distill"])
def test_a_weight_scales_its_term_and_no_other(term: str):
    logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    allowed, rest = gather_answers(logits, answer_table([[(0,), (1,)]] * 2))
    answers = AnswerLogits(allowed=allowed, rest=rest, gold=torch.tensor([0, 1]), yes=torch.zeros(2).long())
    none = {"next_token": 0.0, "yes_no": 0.0, "hinge": 0.0, "yes_rate": 0.0, "distill": 0.0}
    one = recovery_loss(RecoverySettings(**{**none, term: 1.0}), answers, logits, torch.zeros(2, 4))
    two = recovery_loss(RecoverySettings(**{**none, term: 2.0}), answers, logits, torch.zeros(2, 4))
    assert one.item() > 0
    assert two.item() == pytest.approx(2 * one.item())
