import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hipp_prune.search.policy.grpo import advantages, gated, policy_loss, relabelling_ratio, scalarise
from hipp_prune.search.policy.network import PlanDistribution

KINDS = ["leave-pair-out", "leave-one-out", "paper"]


def _distribution(seed: int = 0, count: int = 6, size: int = 5, *, grad: bool = False) -> PlanDistribution:
    generator = torch.Generator().manual_seed(seed)
    mean, log_std = (torch.randn(count, size, generator=generator, dtype=torch.float64) for _ in range(2))
    return PlanDistribution(mean.requires_grad_(grad), (0.3 * log_std).requires_grad_(grad))


def test_scalarise():
    objectives = torch.tensor([[1.0, -2.0, 4.0], [0.0, 1.0, 0.0]])
    assert scalarise(objectives, torch.tensor([0.5, 0.25, 0.25])).tolist() == [1.0, 0.25]
    table = scalarise(objectives[None], torch.eye(3)[:, None])
    assert table.tolist() == objectives.T.tolist()


@pytest.mark.parametrize("kind", KINDS)
@given(returns=arrays("float64", (3, 8), elements=st.floats(-50, 50)))
def test_advantages_of_a_group_sum_to_zero(kind, returns):
    advantage = advantages(torch.from_numpy(returns), kind=kind)
    torch.testing.assert_close(advantage.sum(dim=-1), torch.zeros(3, dtype=torch.float64), atol=1e-7, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_advantages_ignore_the_level_of_a_group(kind):
    returns = torch.randn(2, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shifted = returns + torch.tensor([[3.0], [-100.0]])
    torch.testing.assert_close(advantages(shifted, kind=kind), advantages(returns, kind=kind))


def test_leave_one_out_by_hand():
    advantage = advantages(torch.tensor([[1.0, 2.0, 3.0, 6.0]]), kind="leave-one-out")
    torch.testing.assert_close(advantage, torch.tensor([[1 - 11 / 3, 2 - 10 / 3, 3 - 3.0, 6 - 2.0]]))


def test_leave_pair_out_by_hand():
    # partners: 1 and 3, 2 and 6
    advantage = advantages(torch.tensor([[1.0, 2.0, 3.0, 6.0]]), kind="leave-pair-out")
    assert advantage.tolist() == [[1 - 4.0, 2 - 2.0, 3 - 4.0, 6 - 2.0]]


def test_leave_pair_out_baseline_does_not_depend_on_the_pair():
    returns = torch.tensor([[1.0, 2.0, 3.0, 6.0, 0.0, 1.0]], requires_grad=True)
    baseline = returns - advantages(returns, kind="leave-pair-out")
    (gradient,) = torch.autograd.grad(baseline[0, 1], returns)
    assert gradient.tolist() == [[0.25, 0.0, 0.25, 0.25, 0.0, 0.25]]


def test_paper_advantage_has_unit_std():
    advantage = advantages(torch.tensor([[1.0, 2.0, 3.0, 6.0]]), kind="paper")
    assert float(advantage.std()) == pytest.approx(1, abs=1e-5)
    assert advantages(torch.ones(1, 4), kind="paper").tolist() == [[0.0] * 4]


def test_gate_kinds():
    advantage, gate = torch.tensor([2.0, -2.0, 0.0]), torch.tensor([0.25, 0.25, 0.5])
    assert gated(advantage, gate, kind="positive").tolist() == [0.5, -2.0, 0.0]
    assert gated(advantage, gate, kind="all").tolist() == [0.5, -0.5, 0.0]
    assert gated(advantage, gate, kind="off").tolist() == [2.0, -2.0, 0.0]


@pytest.mark.parametrize("clip", [None, 0.05, 0.3])
def test_gradient_at_the_old_policy_is_the_plain_policy_gradient(clip):
    """∇J = mean of A ∇log π(z), with or without clip, at π_θ = π_old."""
    new = _distribution(grad=True)
    old = new.detach()
    z = _distribution(1).mean
    advantage = torch.linspace(-2, 2, 6, dtype=torch.float64)
    loss = policy_loss(new, old, z, advantage, clip=clip).loss
    ours = torch.autograd.grad(loss, [new.mean, new.log_std])
    plain = torch.autograd.grad(-(advantage * new.log_prob(z)).mean(), [new.mean, new.log_std])
    for left, right in zip(ours, plain, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-14)
    assert plain[0].abs().max() > 0.01


def _shifted(shift: float) -> tuple[PlanDistribution, PlanDistribution, torch.Tensor]:
    """One-dimensional: log ratio is ``shift`` for each of 4 plans of 2 dimensions."""
    old = PlanDistribution(torch.zeros(4, 2), torch.zeros(4, 2))
    z = torch.ones(4, 2)
    # log π(z) of N(μ, 1) at 1 rises by μ − μ²/2 a dimension
    move = 1 - math.sqrt(1 - shift)
    return PlanDistribution(torch.full((4, 2), move, requires_grad=True), torch.zeros(4, 2)), old, z


@pytest.mark.parametrize(
    ("shift", "stopped"),
    [(0.2, [True, False]), (-0.2, [False, True]), (0.04, [False, False])],
)
def test_clip_stops_the_gradient_of_moves_that_went_far_enough(shift, stopped):
    """The averaged log-ratio is shift/2: beyond 1 ± 0.05 only moves back have a gradient."""
    new, old, z = _shifted(shift)
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    result = policy_loss(new, old, z, advantage, clip=0.05)
    assert float((new.log_prob(z) - old.log_prob(z))[0].detach()) == pytest.approx(shift, abs=1e-6)
    (gradient,) = torch.autograd.grad(result.loss, new.mean)
    assert (gradient.abs().sum(dim=1) == 0).tolist() == stopped * 2
    assert result.clipped == (1.0 if any(stopped) else 0.0)


def test_clipped_fraction_counts_plans():
    old = PlanDistribution(torch.zeros(4, 2), torch.zeros(4, 2))
    mean = torch.zeros(4, 2)
    mean[0] = 0.5
    result = policy_loss(
        PlanDistribution(mean, torch.zeros(4, 2)), old, torch.ones(4, 2), torch.ones(4), clip=0.05
    )
    assert result.clipped == 0.25
    unclipped = policy_loss(
        PlanDistribution(mean, torch.zeros(4, 2)), old, torch.ones(4, 2), torch.ones(4), clip=None
    )
    assert unclipped.clipped == 0.0


def test_old_log_prob_replaces_the_reference():
    new, old, z = _distribution(0), _distribution(0), _distribution(1).mean
    advantage = torch.ones(6, dtype=torch.float64)
    drawn = old.log_prob(z) - 5 * math.log(1.02)
    result = policy_loss(new, old, z, advantage, clip=0.05, old_log_prob=drawn)
    assert float(result.loss) == pytest.approx(-5 * 1.02)
    assert result.kl == 0


def test_loss_adds_entropies_and_subtracts_kl():
    new, old, z = _distribution(0), _distribution(2), _distribution(1).mean
    zero = torch.zeros(6, dtype=torch.float64)
    entropy_u, entropy_a = new.entropies()
    result = policy_loss(new, old, z, zero, budget_entropy=0.2, allocation_entropy=0.3, kl_weight=0.5)
    bonus = 0.2 * entropy_u + 0.3 * entropy_a - 0.5 * new.kl_to(old)
    assert float(result.loss) == pytest.approx(-float(bonus.mean()))
    assert result.kl == pytest.approx(float(new.kl_to(old).mean()))


def test_relabelling_is_unbiased():
    """E_{z ~ π_old(λ)}[ρ f(z)] = E_{z ~ π_θ(λ')}[f(z)], by Monte Carlo within 4 standard errors."""
    count = 200_000
    drawn = PlanDistribution(
        torch.tensor([[0.3, -0.2, 0.1]]).double(), torch.tensor([[0.0, -0.1, 0.1]]).double()
    )
    other = PlanDistribution(
        torch.tensor([[-0.5, 0.3, 0.4]]).double(), torch.tensor([[-0.2, -0.1, -0.2]]).double()
    )
    noise = torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = drawn.sample(noise)

    def f(z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(z[:, 0]) + z[:, 1] * z[:, 2]

    ratio = relabelling_ratio(other.log_prob(z), drawn.log_prob(z))
    weighted = ratio * f(z)
    truth = float(
        f(other.sample(torch.randn(count, 3, generator=torch.Generator().manual_seed(1)).double())).mean()
    )
    error = float(weighted.std()) / math.sqrt(count)
    assert abs(float(weighted.mean()) - truth) < 4 * error * math.sqrt(2)
    assert abs(float(f(z).mean()) - truth) > 6 * error  # without the ratio it is biased
    assert float(ratio.mean()) == pytest.approx(1, abs=4 * float(ratio.std()) / math.sqrt(count))
