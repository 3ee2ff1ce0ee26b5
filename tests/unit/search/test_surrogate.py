from dataclasses import replace

import numpy as np
import pytest

from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Evaluation
from hipp_prune.search.surrogate import Surrogate, _non_negative, best_ratios, fit_surrogate
from tests.unit.plans.shapes import make_shape

UNITS = 8
SPACE = PlanSpace(shape=make_shape((400,) * UNITS), r_max=0.8)
RANGE = (0.1, 0.5)
DENSE = np.array([0.3, -0.2])


def _planted(seed: int = 0) -> Surrogate:
    rng = np.random.default_rng(seed)
    return Surrogate(
        linear=rng.uniform(0, 1, size=(2, UNITS)) * (rng.random((2, UNITS)) < 0.6),
        quadratic=np.exp(rng.normal(size=(2, UNITS))),
        cubic=np.zeros((2, UNITS)),
    )


def _evaluations(
    truth: Surrogate, count: int, *, noise: float, levels: float = 0.0, seed: int = 1
) -> list[Evaluation]:
    rng = np.random.default_rng(seed)
    log_a = rng.normal(scale=1.0, size=(count, UNITS))
    kept = SPACE.kept(SPACE.ratios(log_a, rng.uniform(*RANGE, size=count)))
    values = DENSE - truth.damage(1 - kept / SPACE.widths) + noise * rng.normal(size=(count, 2))
    return [
        Evaluation(
            kept=tuple(kept[i].tolist()), minibatch=f"m{i % 4}", robustness=values[i, 0] + levels * (i % 4),
            utility=values[i, 1] - levels * (i % 4), accuracies={"pope": 0.5, "scienceqa": 0.5}, questions=64,
            sparsity=float(SPACE.sparsity(kept[i])), source="warm-up", seconds=0.0,
        )
        for i in range(count)
    ]  # fmt: skip


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _fresh_ratios(count: int = 300) -> np.ndarray:
    rng = np.random.default_rng(9)
    return SPACE.ratios(rng.normal(size=(count, UNITS)), rng.uniform(*RANGE, size=count))


def test_damage_by_hand():
    surrogate = Surrogate(
        linear=np.array([[1.0, 0.0], [0.0, 2.0]]),
        quadratic=np.array([[0.0, 4.0], [0.0, 0.0]]),
        cubic=np.array([[8.0, 0.0], [0.0, 0.0]]),
    )
    np.testing.assert_allclose(surrogate.damage(np.array([[0.5, 0.5]])), [[0.5 + 1.0 + 1.0, 1.0]])


def test_recovers_a_planted_landscape():
    truth = _planted()
    fitted = fit_surrogate(_evaluations(truth, 200, noise=0.01), SPACE)
    ratios = _fresh_ratios()
    expected, predicted = truth.damage(ratios), fitted.damage(ratios)
    for k in range(2):
        assert _correlation(expected[:, k], predicted[:, k]) > 0.99
        misses = (expected - predicted)[:, k]
        assert np.abs(misses - misses.mean()).mean() < 0.05 * expected[:, k].std() + 0.01
    assert (fitted.linear >= 0).all()
    assert (fitted.quadratic >= 0).all()
    assert (fitted.cubic >= 0).all()


def test_level_of_a_minibatch_does_not_matter():
    truth = _planted()
    plain = fit_surrogate(_evaluations(truth, 80, noise=0.05), SPACE)
    levelled = fit_surrogate(_evaluations(truth, 80, noise=0.05, levels=10.0), SPACE)
    np.testing.assert_allclose(levelled.linear, plain.linear, atol=1e-9)
    np.testing.assert_allclose(levelled.quadratic, plain.quadratic, atol=1e-9)
    np.testing.assert_allclose(levelled.cubic, plain.cubic, atol=1e-9)


def test_prior_is_equal_damage_everywhere():
    """With little to go by, units are alike: better than believing noise."""
    fitted = fit_surrogate(_evaluations(_planted(), 12, noise=3.0), SPACE)
    assert np.isfinite(fitted.damage(_fresh_ratios())).all()
    assert (fitted.damage(_fresh_ratios()) >= 0).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_evaluations_is_enough_to_answer(count):
    fitted = fit_surrogate(_evaluations(_planted(), count, noise=0.1), SPACE)
    assert np.isfinite(fitted.damage(_fresh_ratios())).all()
    ratios, sparsity = _best(fitted, [[1 / 3] * 3])
    assert np.isfinite(ratios).all()
    np.testing.assert_allclose(SPACE.sparsity(SPACE.kept(ratios)), sparsity, atol=1e-3)


def _best(surrogate: Surrogate, preferences, budget=RANGE, scale=(1.0, 1.0, 0.3)):
    preferences = np.array(preferences, dtype=float)
    return best_ratios(
        surrogate, SPACE, preferences, np.tile(budget, (len(preferences), 1)).astype(float),
        scale=np.array(scale), compression_range=RANGE,
    )  # fmt: skip


def test_best_plans_are_on_budget_and_in_the_box():
    preferences = np.random.default_rng(0).dirichlet(np.ones(3), size=40)
    ratios, sparsity = _best(_planted(), preferences)
    assert (ratios >= 0).all()
    assert (ratios <= SPACE.r_max + 1e-12).all()
    assert (sparsity >= RANGE[0] - 1e-12).all()
    assert (sparsity <= RANGE[1] + 1e-12).all()
    np.testing.assert_allclose(ratios.mean(axis=1), sparsity, atol=1e-9)


@pytest.mark.parametrize("sparsity", [0.15, 0.4, 0.75])
def test_best_plans_beat_every_perturbation_on_budget(sparsity):
    truth, scale = _planted(), np.array([0.7, 1.3, 0.3])
    preferences = np.array([[1.0, 0, 0], [0, 1, 0], [0.4, 0.4, 0.2]])
    ratios, _ = _best(truth, preferences, (sparsity, sparsity), scale)
    weights = preferences[:, :2] / scale[:2]
    ours = (truth.damage(ratios) * weights).sum(axis=1)
    rng = np.random.default_rng(2)
    for step in (0.01, 0.1, 1.0):
        for _ in range(50):
            noisy = np.log(np.maximum(ratios, 1e-3)) + step * rng.normal(size=ratios.shape)
            other = SPACE.ratios(noisy, np.full(3, sparsity))
            theirs = (truth.damage(other) * weights).sum(axis=1)
            assert (ours <= theirs * 1.002 + 1e-6).all()


def test_budget_interval_is_used_for_compression():
    truth = _planted()
    _, sparsity = _best(truth, [[0.9, 0.1, 0], [0.3, 0.3, 0.4], [0.05, 0.05, 0.9], [0, 0, 1]])
    assert sparsity[0] == pytest.approx(RANGE[0])
    assert (np.diff(sparsity) >= -1e-12).all()
    assert sparsity[2] > RANGE[0] + 0.1
    assert sparsity[3] == pytest.approx(RANGE[1])


def test_compression_only_still_prunes_where_it_hurts_least():
    truth = _planted()
    ratios, sparsity = _best(truth, [[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(ratios.mean(), sparsity[0], atol=1e-9)
    uniform = np.full((1, UNITS), sparsity[0])
    assert truth.damage(ratios).sum() < 0.9 * truth.damage(uniform).sum()


def test_an_objective_that_has_not_varied_counts_nothing():
    truth = _planted()
    both, _ = _best(truth, [[0.5, 0.5, 0.0]], (0.3, 0.3), scale=(1.0, 0.0, 0.3))
    first, _ = _best(truth, [[1.0, 0.0, 0.0]], (0.3, 0.3), scale=(1.0, 0.0, 0.3))
    np.testing.assert_allclose(both, first, atol=1e-6)
    nothing, sparsity = _best(truth, [[0.5, 0.5, 0.0]], (0.3, 0.3), scale=(0.0, 0.0, 0.0))
    np.testing.assert_allclose(nothing.mean(), sparsity[0], atol=1e-6)


def test_recovered_optimum_is_nearly_the_true_one():
    truth = _planted()
    fitted = fit_surrogate(_evaluations(truth, 200, noise=0.02), SPACE)
    preferences, budget = [[1.0, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], (0.3, 0.3)
    weights = np.array(preferences)[:, :2]

    def damage(ratios: np.ndarray) -> np.ndarray:
        return (truth.damage(ratios) * weights).sum(axis=1)

    optimum, found = (
        damage(_best(truth, preferences, budget)[0]),
        damage(_best(fitted, preferences, budget)[0]),
    )
    uniform = damage(np.full((3, UNITS), 0.3))
    assert (optimum <= found + 1e-6).all()
    assert ((uniform - found) / (uniform - optimum) > 0.9).all()


def test_heavier_units_are_weighed_in_the_budget():
    space = PlanSpace(shape=make_shape((100, 400)), r_max=0.8)
    flat = Surrogate(linear=np.zeros((2, 2)), quadratic=np.ones((2, 2)), cubic=np.zeros((2, 2)))
    ratios, sparsity = best_ratios(
        flat,
        space,
        np.array([[1.0, 0, 0]]),
        np.array([[0.3, 0.3]]),
        scale=np.ones(3),
        compression_range=RANGE,
    )
    assert (ratios[0] * space.weights).sum() / space.weights.sum() == pytest.approx(sparsity[0])
    assert ratios[0, 1] == pytest.approx(4 * ratios[0, 0], rel=0.01)  # damage a parameter is equal


@pytest.mark.parametrize("seed", range(5))
def test_non_negative_least_squares_meets_its_optimality_conditions(seed):
    """θ ≥ 0, gradient ≥ 0, and one of the two is zero: for every problem of the batch."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(4, 30, 12)) + rng.normal(size=(4, 30, 1))  # correlated columns
    gram = factors.transpose(0, 2, 1) @ factors + 1e-3 * np.eye(12)
    linear = rng.normal(size=(4, 12, 2)) * 10
    theta = _non_negative(gram, linear)
    slope = gram @ theta - linear
    assert (theta >= 0).all()
    assert (slope > -1e-6).all()
    assert np.abs(theta * slope).max() < 1e-6
    assert 0 < (theta > 0).mean() < 1


def test_many_questions_count_more_than_few():
    """Two noisy sets that contradict each other: the one with more questions wins."""
    strong, weak = _planted(0), _planted(5)
    many = [replace(e, questions=1024, minibatch="many") for e in _evaluations(strong, 80, noise=0.0)]
    few = [replace(e, questions=4, minibatch="few") for e in _evaluations(weak, 80, noise=0.0)]
    fitted = fit_surrogate(many + few, SPACE)
    ratios = _fresh_ratios()
    ours = fitted.damage(ratios)
    assert np.abs(ours - strong.damage(ratios)).mean() < 0.1 * np.abs(ours - weak.damage(ratios)).mean()
