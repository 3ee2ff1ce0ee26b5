from dataclasses import replace

import numpy as np
import pytest
import torch

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.search.actor import Actor
from hipp_prune.search.draws import Draw, Lesson, draw_budget, draw_plans, learn, training_pairs
from hipp_prune.search.policy.network import PlanPolicy
from hipp_prune.search.settings import SearchSettings

PROBLEM = Landscape(blocks=6)
CONFIG = SearchSettings(groups=3, group=8)


def _actor(std: float = 0.2) -> Actor:
    torch.manual_seed(0)
    network = PlanPolicy(PROBLEM.state.shape[1])
    for head in (network.budget_head, network.allocation_head):
        torch.nn.init.normal_(head.weight, std=std)
    return Actor(network=network, state=PROBLEM.state, settings=CONFIG)


def _draw(settings: SearchSettings = CONFIG, seed: int = 0) -> Draw:
    rng = np.random.default_rng(seed)
    return draw_plans(_actor(), PROBLEM.space, settings, rng.dirichlet(np.ones(3), size=settings.groups), rng)


def _lesson(draw: Draw, objectives: np.ndarray, gate: np.ndarray | None = None) -> Lesson:
    return Lesson(draw=draw, objectives=objectives, gate=np.ones(len(objectives)) if gate is None else gate)


def test_shapes_of_a_step():
    draw = _draw()
    assert draw.preferences.shape == (3, 3)
    assert draw.budget.shape == (2,)
    assert draw.z.shape == (24, 7)
    assert draw.log_prob.shape == (24,)
    assert draw.kept.shape == (24, 6)
    assert np.bincount(draw.group).tolist() == [8, 8, 8]


def _own_mean(draw: Draw) -> torch.Tensor:
    with torch.no_grad():
        distribution = _actor().distribution(draw.preferences, np.tile(draw.budget, (3, 1)))
    return distribution.mean[torch.from_numpy(draw.group)]


def test_halves_of_the_step_and_of_each_group_are_antithetic():
    draw = _draw()
    mean = _own_mean(draw)
    deviation = draw.z - mean
    torch.testing.assert_close(deviation[12:], -deviation[:12], atol=1e-5, rtol=0)
    assert (draw.group[12:] == draw.group[:12]).all()
    for group in range(3):
        own = deviation[torch.from_numpy(draw.group == group)]
        torch.testing.assert_close(own[4:], -own[:4], atol=1e-5, rtol=0)
    assert float(deviation.abs().mean()) > 0.1


@pytest.mark.parametrize("advantage", ["leave-one-out", "paper"])
def test_other_baselines_draw_independently(advantage):
    draw = _draw(replace(CONFIG, advantage=advantage))
    deviation = draw.z - _own_mean(draw)
    assert float((deviation[12:] + deviation[:12]).abs().mean()) > 0.1


def test_groups_differ_by_their_preference_only_in_distribution():
    draw = _draw()
    means = _own_mean(draw)[:3]
    assert float((means[0] - means[1]).abs().max()) > 1e-4  # the policy sees λ


def test_draws_are_deterministic():
    first, again, other = _draw(), _draw(), _draw(seed=1)
    assert (first.kept == again.kept).all()
    assert torch.equal(first.z, again.z)
    assert not (first.kept == other.kept).all()


def test_budgets_are_the_range_a_part_of_it_or_a_point():
    rng = np.random.default_rng(0)
    drawn = np.array([draw_budget(CONFIG, rng) for _ in range(3000)])
    assert (drawn[:, 0] >= CONFIG.s_min).all()
    assert (drawn[:, 1] <= CONFIG.s_max).all()
    assert (drawn[:, 0] <= drawn[:, 1]).all()
    whole = (drawn == [CONFIG.s_min, CONFIG.s_max]).all(axis=1)
    point = drawn[:, 0] == drawn[:, 1]
    for share in (whole.mean(), point.mean(), 1 - whole.mean() - point.mean()):
        assert share == pytest.approx(1 / 3, abs=0.04)
    assert drawn[point, 0].min() < 0.15
    assert drawn[point, 0].max() > 0.45, "`--sparsity s` is trained for every s of the range"


def _objectives(count: int = 24, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3))


def test_without_relabelling_a_plan_teaches_its_own_preference():
    settings = replace(CONFIG, relabel=False, gate="off", advantage="leave-one-out")
    draw, objectives = _draw(settings), _objectives()
    preference, plan, signal = training_pairs(settings, _lesson(draw, objectives))
    assert sorted(plan.tolist()) == list(range(24))
    assert (draw.group[plan] == preference.numpy()).all()
    for group in range(3):
        own = draw.group == group
        returns = objectives[own] @ draw.preferences[group]
        expected = (returns - returns.mean()) * 8 / 7
        np.testing.assert_allclose(signal[preference == group], expected, atol=1e-5)


def test_with_relabelling_every_plan_teaches_every_preference():
    settings = replace(CONFIG, gate="off")
    draw, objectives = _draw(settings), _objectives()
    preference, plan, signal = training_pairs(settings, _lesson(draw, objectives))
    assert sorted(zip(preference.tolist(), plan.tolist(), strict=True)) == [
        (p, n) for p in range(3) for n in range(24)
    ]
    for group in range(3):
        returns = torch.from_numpy(objectives @ draw.preferences[group]).float()
        partner = returns.roll(12)
        expected = returns - (returns.sum() - returns - partner) / 22
        torch.testing.assert_close(signal[preference == group], expected, atol=1e-5, rtol=1e-4)


def test_partners_of_the_baseline_are_the_antithetic_pairs_without_relabelling_too():
    settings = replace(CONFIG, relabel=False, gate="off")
    draw, objectives = _draw(settings), _objectives()
    _, plan, signal = training_pairs(settings, _lesson(draw, objectives))
    by_plan = dict(zip(plan.tolist(), signal.tolist(), strict=True))
    for n in range(24):
        own = draw.group == draw.group[n]
        returns = objectives @ draw.preferences[draw.group[n]]
        others = own & ~np.isin(np.arange(24), [n, (n + 12) % 24])
        assert by_plan[n] == pytest.approx(returns[n] - returns[others].mean(), abs=1e-5)


@pytest.mark.parametrize("relabel", [True, False])
def test_plans_that_were_not_evaluated_get_the_minimum_of_their_group(relabel):
    settings = replace(CONFIG, relabel=relabel, gate="off")
    draw, objectives = _draw(settings), _objectives()
    missing = [0, 7, 20]
    objectives[missing] = np.nan
    preference, plan, signal = training_pairs(settings, _lesson(draw, objectives))
    assert signal.isfinite().all()
    filled = objectives @ draw.preferences.T  # [N, P]
    for group in range(3):
        row = np.arange(24) if relabel else np.flatnonzero(draw.group == group)
        values = filled[row, group]
        values = np.where(np.isnan(values), np.nanmin(values), values)
        half = len(row) // 2
        others = (values.sum() - values - np.roll(values, half)) / (len(row) - 2)
        here = preference == group
        np.testing.assert_array_equal(plan[here], row)
        np.testing.assert_allclose(signal[here], values - others, atol=1e-5)


def test_a_group_without_any_evaluation_teaches_nothing():
    draw = _draw()
    _, _, signal = training_pairs(CONFIG, _lesson(draw, np.full((24, 3), np.nan), np.zeros(24)))
    assert signal.abs().max() == 0


def test_gate_scales_the_lesson_of_good_plans_alone():
    draw, objectives = _draw(), _objectives()
    gate = np.random.default_rng(0).uniform(0.1, 1, size=24)
    _, plan, plain = training_pairs(replace(CONFIG, gate="off"), _lesson(draw, objectives, gate))
    _, _, gated = training_pairs(CONFIG, _lesson(draw, objectives, gate))
    expected = torch.where(plain > 0, plain * torch.from_numpy(gate).float()[plan], plain)
    torch.testing.assert_close(gated, expected)


@pytest.mark.parametrize("relabel", [True, False])
@pytest.mark.parametrize("clip", [0.05, None])
def test_learning_raises_the_probability_of_better_plans(relabel, clip):
    settings = replace(CONFIG, relabel=relabel, clip=clip, learning_rate=3e-4)
    actor = _actor(std=0.0)
    rng = np.random.default_rng(0)
    draw = draw_plans(actor, PROBLEM.space, settings, rng.dirichlet(np.ones(3), size=3), rng)
    objectives = np.repeat(draw.z[:, 1:2].numpy(), 3, axis=1)  # whatever λ: more of unit 0 is better
    optimiser = torch.optim.Adam(actor.network.parameters(), lr=settings.learning_rate)
    update = learn(actor, optimiser, settings, [_lesson(draw, objectives)])
    with torch.no_grad():
        mean = actor.distribution(draw.preferences, np.tile(draw.budget, (3, 1))).mean
    assert (mean[:, 1] > 0.005).all()  # an untrained policy's means are zero
    assert (mean[:, 1] == mean[:, 1:].max(dim=1).values).all()
    assert 0 < update.kl < 0.1
    assert 0 <= update.clipped <= 1


def test_a_control_variate_leaves_the_gradient_unbiased_and_takes_out_its_noise():
    """Residual lesson + virtual lesson against the plain lesson, over many draws of one policy."""
    settings = replace(CONFIG, inner_epochs=1, group=4, gate="off", relabel=False, budget_entropy=0.0,
                     allocation_entropy=0.0)  # fmt: skip
    actor = _actor(std=0.0)
    preferences, head = np.full((2, 3), 1 / 3), actor.network.allocation_head.bias
    still = torch.optim.SGD(actor.network.parameters(), lr=0.0)

    def gradient(seed: int, *, control: bool) -> float:
        draw = draw_plans(actor, PROBLEM.space, settings, preferences, np.random.default_rng(seed))
        truth, surrogate = _spread(draw) + 0.2 * _tilt(draw), _spread(draw)
        lessons = [_lesson(draw, truth)]
        if control:
            many = draw_plans(
                actor,
                PROBLEM.space,
                replace(settings, group=32),
                preferences,
                np.random.default_rng([seed, 1]),
            )
            lessons = [_lesson(draw, truth - surrogate), _lesson(many, _spread(many))]
        learn(actor, still, settings, lessons)
        return float(head.grad[1])

    plain = np.array([gradient(seed, control=False) for seed in range(40)])
    controlled = np.array([gradient(seed, control=True) for seed in range(40)])
    assert controlled.std() < 0.5 * plain.std()
    assert abs(controlled.mean() - plain.mean()) < 3 * plain.std() / np.sqrt(40)
    assert abs(plain.mean()) > 3 * controlled.std() / np.sqrt(40)


def _spread(draw: Draw) -> np.ndarray:
    """An objective that prefers even plans, three times; so small that no gradient is clipped."""
    return np.repeat(-0.03 * draw.z[:, 1:].var(dim=1).numpy()[:, None], 3, axis=1)


def _tilt(draw: Draw) -> np.ndarray:
    return np.repeat(0.03 * draw.z[:, 1:2].numpy(), 3, axis=1)


def test_without_intervals_the_budget_is_always_the_whole_range():
    rng = np.random.default_rng(0)
    settings = replace(CONFIG, intervals=False)
    drawn = np.array([draw_budget(settings, rng) for _ in range(50)])
    assert (drawn == [CONFIG.s_min, CONFIG.s_max]).all()


def test_a_flat_policy_draws_and_learns_ratios():
    settings = replace(CONFIG, action="flat")
    actor = replace(_actor(), settings=settings)
    rng = np.random.default_rng(0)
    draw = draw_plans(actor, PROBLEM.space, settings, rng.dirichlet(np.ones(3), size=3), rng)
    assert draw.z.shape == (24, 6)
    optimiser = torch.optim.Adam(actor.network.parameters(), lr=1e-3)
    rewarded = np.repeat(-draw.z[:, :1].numpy(), 3, axis=1)  # keeping more of the first unit

    def first_unit() -> float:
        return float(
            actor.distribution(draw.preferences, np.tile(draw.budget, (3, 1))).mean[:, 0].mean().detach()
        )

    before = first_unit()
    learn(actor, optimiser, settings, [_lesson(draw, rewarded)])
    assert first_unit() < before - 1e-3
