import math

import pytest
import torch

from hipp_prune.search.policy.network import NUM_CONTEXT, PlanDistribution, PlanPolicy

UNITS, FEATURES = 7, 4


def _policy(seed: int = 0) -> PlanPolicy:
    """Every parameter random: an untrained policy's heads are zero, and it could not show anything."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = PlanPolicy(FEATURES, width=16, heads=2).double()
        for head in (policy.budget_head, policy.allocation_head):
            torch.nn.init.normal_(head.weight, std=0.3)
    return policy


def _inputs(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    state = torch.randn(UNITS, FEATURES, generator=generator, dtype=torch.float64)
    budget = torch.tensor([[0.1, 0.5]]).repeat(count, 1)
    preferences = torch.rand(count, 3, generator=generator).softmax(dim=1)
    return state, torch.cat([budget, preferences], dim=1).double()


def test_shapes():
    distribution = _policy()(*_inputs())
    assert distribution.mean.shape == distribution.log_std.shape == (3, 1 + UNITS)
    assert NUM_CONTEXT == 5


def test_permuting_units_permutes_the_allocation():
    policy, (state, context) = _policy(), _inputs()
    order = torch.randperm(UNITS, generator=torch.Generator().manual_seed(2))
    plain, permuted = policy(state, context), policy(state[order], context)
    for left, right in ((plain.mean, permuted.mean), (plain.log_std, permuted.log_std)):
        torch.testing.assert_close(left[:, 0], right[:, 0])
        torch.testing.assert_close(left[:, 1:][:, order], right[:, 1:])
    assert float(plain.mean[:, 1:].std(dim=1).min().detach()) > 1e-3


@pytest.mark.parametrize("entry", range(NUM_CONTEXT), ids=["s_min", "s_max", "rob", "util", "comp"])
def test_output_depends_on_each_entry_of_the_context(entry):
    policy, (state, context) = _policy(), _inputs()
    changed = context.clone()
    changed[:, entry] += 0.2
    with torch.no_grad():
        before, after = policy(state, context).mean, policy(state, changed).mean
    assert float((before[:, 0] - after[:, 0]).abs().min()) > 1e-4
    assert float((before[:, 1:] - after[:, 1:]).abs().max()) > 1e-4


def test_output_depends_on_every_descriptor():
    policy, (state, context) = _policy(), _inputs()
    for feature in range(FEATURES):
        changed = state.clone()
        changed[0, feature] += 0.5
        with torch.no_grad():
            moved = policy(state, context).mean - policy(changed, context).mean
        assert float(moved.abs().max()) > 1e-4


def test_actions_do_not_see_each_other():
    policy, (state, context) = _policy(), _inputs(5)
    torch.testing.assert_close(policy(state, context).mean[2:3], policy(state, context[2:3]).mean)


def test_any_number_of_units():
    policy = _policy()
    for units in (1, 2, 40):
        state = torch.randn(units, FEATURES, dtype=torch.float64)
        assert policy(state, _inputs()[1]).mean.shape == (3, 1 + units)


def test_allocation_means_are_centred():
    mean = _policy()(*_inputs()).mean.detach()
    torch.testing.assert_close(
        mean[:, 1:].mean(dim=1), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_an_untrained_policy_is_uniform():
    torch.manual_seed(0)
    state, context = _inputs()
    distribution = PlanPolicy(FEATURES, log_std=-0.5)(state.float(), context.float()).detach()
    assert distribution.mean.abs().max() == 0
    torch.testing.assert_close(distribution.log_std, torch.full((3, 1 + UNITS), -0.5))


def test_exploration_stays_within_bounds():
    policy, (state, context) = _policy(), _inputs()
    for bias in (-50.0, 50.0):
        with torch.no_grad():
            policy.allocation_head.bias[1] = bias
            policy.budget_head.bias[1] = bias
        std = policy(state, context).log_std.exp().detach()
        assert float(std.min()) > 0.04
        assert float(std.max()) < 3


def _random(seed: int) -> PlanDistribution:
    generator = torch.Generator().manual_seed(seed)
    mean, log_std = (torch.randn(4, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    return PlanDistribution(mean, 0.4 * log_std)


def _reference(distribution: PlanDistribution) -> torch.distributions.Independent:
    return torch.distributions.Independent(
        torch.distributions.Normal(distribution.mean, distribution.log_std.exp()), 1
    )


def test_log_prob_is_that_of_independent_gaussians():
    z = _random(1).mean
    torch.testing.assert_close(_random(0).log_prob(z), _reference(_random(0)).log_prob(z))


def test_entropies_in_closed_form():
    distribution = _random(0)
    entropy_u, entropy_a = distribution.entropies()
    torch.testing.assert_close(entropy_u + 5 * entropy_a, _reference(distribution).entropy())
    expected = 0.5 * math.log(2 * math.pi * math.e * float(distribution.log_std[0, 0].exp()) ** 2)
    assert float(entropy_u[0]) == pytest.approx(expected)


def test_kl_in_closed_form():
    for seed in range(5):
        new, old = _random(seed), _random(seed + 10)
        expected = torch.distributions.kl_divergence(_reference(new), _reference(old))
        torch.testing.assert_close(new.kl_to(old), expected)
        assert (new.kl_to(old) > 0).all()
        assert new.kl_to(new).abs().max() < 1e-12


def test_sample_is_affine_and_antithetic():
    distribution = _random(0)
    noise = torch.randn(4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    pair = distribution.sample(noise), distribution.sample(-noise)
    torch.testing.assert_close((pair[0] + pair[1]) / 2, distribution.mean)
    torch.testing.assert_close((pair[0] - distribution.mean) / distribution.log_std.exp(), noise)


def test_detach_cuts_the_graph():
    state, context = _inputs()
    distribution = _policy()(state, context)
    assert distribution.mean.requires_grad
    assert not distribution.detach().mean.requires_grad
    assert not distribution.detach().log_std.requires_grad


def test_a_flat_distribution_moves_all_units_with_the_budget():
    distribution = _random(3)
    flat = distribution.flattened()
    torch.testing.assert_close(flat.mean, distribution.mean[:, 1:] + distribution.mean[:, :1])
    torch.testing.assert_close(flat.log_std, distribution.log_std[:, 1:])
    assert flat.detach().flat
    budget, units = flat.entropies()
    assert (budget == 0).all()
    torch.testing.assert_close(units, distribution.entropies()[1])
