from dataclasses import replace

import numpy as np
import pytest
import torch

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.search.actor import Actor
from hipp_prune.search.cloning import Clone
from hipp_prune.search.policy.action import decode_actions
from hipp_prune.search.policy.network import PlanPolicy
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.surrogate import Surrogate, best_ratios

PROBLEM = Landscape(blocks=6, seed=3)
CONFIG = SearchSettings(evaluations=10)
SCALE = np.array([0.3, 0.3, 0.3])
DAMAGE = Surrogate(linear=np.zeros((2, 6)), quadratic=PROBLEM.sensitivity, cubic=np.zeros((2, 6)))
"""The landscape's own damages, with every power taken for two."""


def _clone(surrogate: Surrogate = DAMAGE, settings: SearchSettings = CONFIG) -> Clone:
    return Clone(surrogate=surrogate, scale=SCALE, space=PROBLEM.space, settings=settings)


def _actor(clone: Clone | None) -> Actor:
    torch.manual_seed(0)
    return Actor(network=PlanPolicy(3), state=PROBLEM.state, settings=CONFIG, clone=clone)


def _best(preferences: np.ndarray, budget: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return best_ratios(
        DAMAGE,
        PROBLEM.space,
        preferences,
        budget,
        scale=SCALE,
        compression_range=(CONFIG.s_min, CONFIG.s_max),
    )


def _decoded(actor: Actor, preferences: np.ndarray, budget: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        mean = actor.distribution(preferences, budget).mean
    return decode_actions(mean.double().numpy(), budget, PROBLEM.space).kept


def test_an_untrained_actor_answers_exactly_like_the_surrogate():
    preferences = np.random.default_rng(1).dirichlet(np.ones(3), size=30)
    budget = np.full((30, 2), 0.3)
    wanted, _ = _best(preferences, budget)
    ratios = 1 - _decoded(_actor(_clone()), preferences, budget) / PROBLEM.space.widths
    np.testing.assert_allclose(ratios, wanted, atol=0.01)


def test_the_clone_chooses_the_surrogates_sparsity():
    preferences = np.array([[0.8, 0.1, 0.1], [0.3, 0.3, 0.4], [0.05, 0.05, 0.9]])
    budget = np.tile([CONFIG.s_min, CONFIG.s_max], (3, 1))
    _, wanted = _best(preferences, budget)
    assert wanted[2] > wanted[0] + 0.1
    sparsity = PROBLEM.space.sparsity(_decoded(_actor(_clone()), preferences, budget))
    np.testing.assert_allclose(sparsity, wanted, atol=0.006)


def test_without_a_clone_an_untrained_actor_prunes_uniformly():
    kept = _decoded(_actor(None), np.eye(3), np.full((3, 2), 0.3))
    assert np.ptp(kept) <= 1


def test_the_network_corrects_the_clone():
    clone, preferences, budget = _clone(), np.eye(3), np.full((3, 2), 0.3)
    actor = _actor(clone)
    with torch.no_grad():
        before = actor.distribution(preferences, budget).mean
        torch.nn.init.normal_(actor.network.allocation_head.weight, std=0.2)
        moved = actor.distribution(preferences, budget).mean - before
        actor.clone = None
        own = actor.distribution(preferences, budget).mean
    torch.testing.assert_close(moved, own, atol=1e-5, rtol=0)
    assert float(own.abs().max()) > 0.05


def test_ratios_of_zero_and_budgets_of_a_point_have_an_action_too():
    spiky = Surrogate(
        linear=np.full((2, 6), 9.0) * (np.arange(6) > 1),
        quadratic=DAMAGE.quadratic * 0.01,
        cubic=np.zeros((2, 6)),
    )
    settings = SearchSettings(s_min=0.2, s_max=0.2)
    budget = np.array([[0.2, 0.2]])
    z = _clone(spiky, settings).actions(np.array([[0.5, 0.5, 0.0]]), budget)
    assert np.isfinite(z).all()
    assert z[0, 1:].sum() == pytest.approx(0)
    assert (decode_actions(z, budget, PROBLEM.space).kept[0, 2:] > 345).all()


def test_predictions_by_hand():
    """Damage 4·0.25·r² … in units of σ; compression from 0 at s_min to 1 at s_max."""
    kept = np.full((1, 6), 176)
    quality = -DAMAGE.damage(np.full((1, 6), 0.5))[0] / 0.3
    np.testing.assert_allclose(_clone().predicted(kept)[0], [*quality, 1 / 0.3])
    dense = np.full((1, 6), 352)
    assert _clone().predicted(dense).tolist() == [[0.0, 0.0, 0.0]]


def test_an_objective_that_does_not_vary_is_predicted_as_zero():
    clone = Clone(surrogate=DAMAGE, scale=np.array([0.3, 0.0, 0.0]), space=PROBLEM.space, settings=CONFIG)
    predicted = clone.predicted(np.full((1, 6), 176))[0]
    assert predicted[0] < 0
    assert predicted[1:].tolist() == [0.0, 0.0]


def test_a_flat_actor_starts_from_the_same_plans():
    preferences = np.random.default_rng(1).dirichlet(np.ones(3), size=30)
    for budget in (np.full((30, 2), 0.3), np.tile([CONFIG.s_min, CONFIG.s_max], (30, 1))):
        hierarchical = _decoded(_actor(_clone()), preferences, budget)
        flat = _decoded(
            replace(_actor(_clone()), settings=replace(CONFIG, action="flat")), preferences, budget
        )
        assert (np.abs(flat - hierarchical) / PROBLEM.space.widths).max() < 0.01
