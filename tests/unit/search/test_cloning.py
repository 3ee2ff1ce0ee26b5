import numpy as np
import pytest
import torch

from hipp_prune.policy.action import decode_actions, make_context
from hipp_prune.policy.network import PlanPolicy
from hipp_prune.search.cloning import clone_policy
from hipp_prune.search.config import SearchConfig
from hipp_prune.search.landscape import Landscape
from hipp_prune.search.surrogate import Surrogate, best_ratios

PROBLEM = Landscape(blocks=6, seed=3)
CONFIG = SearchConfig(evaluations=10)
SCALE = np.array([0.3, 0.3, 0.3])


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    """The landscape's own damages, with every power taken for two."""
    return Surrogate(linear=np.zeros((2, 6)), quadratic=PROBLEM.sensitivity)


@pytest.fixture(scope="module")
def cloned(surrogate: Surrogate) -> PlanPolicy:
    torch.manual_seed(0)
    policy = PlanPolicy(PROBLEM.state.shape[1])
    error = clone_policy(policy, surrogate, PROBLEM, CONFIG, scale=SCALE)
    assert error < 1
    return policy


def _plans(policy: PlanPolicy, preferences: np.ndarray, budget: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        mean = policy(torch.from_numpy(PROBLEM.state).float(), make_context(budget, preferences)).mean
    return decode_actions(mean.double().numpy(), budget, PROBLEM.space).kept


def test_the_clone_answers_like_the_surrogate(cloned, surrogate):
    preferences = np.random.default_rng(1).dirichlet(np.ones(3), size=30)
    budget = np.full((30, 2), 0.3)
    wanted, _ = best_ratios(
        surrogate,
        PROBLEM.space,
        preferences,
        budget,
        scale=SCALE,
        compression_range=(CONFIG.s_min, CONFIG.s_max),
    )
    kept = _plans(cloned, preferences, budget)

    def damage(ratios: np.ndarray) -> np.ndarray:
        return (surrogate.damage(ratios) * preferences[:, :2]).sum(axis=1)

    optimum, uniform, ours = (
        damage(wanted),
        damage(np.full((30, 6), 0.3)),
        damage(1 - kept / PROBLEM.space.widths),
    )
    recovered = (uniform - ours).sum() / (uniform - optimum).sum()
    assert recovered > 0.95


def test_the_clone_follows_the_preference_and_the_budget(cloned):
    preferences = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9]])
    whole = np.tile([CONFIG.s_min, CONFIG.s_max], (3, 1))
    kept = _plans(cloned, preferences, whole)
    sparsity = PROBLEM.space.sparsity(kept)
    assert sparsity[2] > max(sparsity[:2]) + 0.1
    own = np.array([[PROBLEM.objectives(plan)[k] for k in range(2)] for plan in _plans(
        cloned, preferences, np.full((3, 2), 0.3)
    )])  # fmt: skip
    assert own[0, 0] > own[1, 0]
    assert own[1, 1] > own[0, 1]


def test_exploration_is_narrow_after_cloning(cloned):
    with torch.no_grad():
        log_std = cloned(
            torch.from_numpy(PROBLEM.state).float(),
            make_context(np.array([[0.1, 0.5]]), np.full((1, 3), 1 / 3)),
        ).log_std
    assert (log_std < -1.0).all()


def test_ratios_of_zero_and_budgets_of_a_point_are_targets_too(surrogate, monkeypatch):
    monkeypatch.setattr("hipp_prune.search.cloning._STEPS", 150)
    config = SearchConfig(s_min=0.2, s_max=0.2)
    spiky = Surrogate(linear=np.full((2, 6), 9.0) * (np.arange(6) > 1), quadratic=surrogate.quadratic * 0.01)
    torch.manual_seed(0)
    policy = PlanPolicy(PROBLEM.state.shape[1])
    assert np.isfinite(clone_policy(policy, spiky, PROBLEM, config, scale=SCALE))
    kept = _plans(policy, np.array([[0.5, 0.5, 0.0]]), np.array([[0.2, 0.2]]))
    assert (kept[0, 2:] > 330).all()
