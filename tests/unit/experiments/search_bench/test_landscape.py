import numpy as np
import pytest

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.arrays import Floats, Ints


def _asked(landscape: Landscape, kept: Ints, minibatch: str, size: int = 64) -> Floats:
    scores = landscape.evaluate(kept, minibatch, size)
    return np.array([scores.robustness, scores.utility])


def test_same_seed_same_landscape():
    first, again, other = Landscape(seed=1), Landscape(seed=1), Landscape(seed=2)
    assert (first.sensitivity == again.sensitivity).all()
    assert (first.state == again.state).all()
    assert not (first.sensitivity == other.sensitivity).all()


def test_shapes_and_scale():
    landscape = Landscape(blocks=7)
    assert landscape.space.num_units == 7
    assert landscape.state.shape == (7, 3)
    np.testing.assert_allclose(landscape.state.mean(axis=0), 0, atol=1e-9)
    dense = np.full((1, 7), 352)
    assert landscape.objectives(dense).tolist() == [[0.0, 0.0]]
    assert landscape.log_ratio(dense).tolist() == [0.0]


def test_removing_neurons_only_hurts():
    landscape = Landscape()
    rng = np.random.default_rng(0)
    kept = rng.integers(100, 352, size=(50, 12))
    fewer = kept.copy()
    fewer[np.arange(50), rng.integers(12, size=50)] -= 20
    assert (landscape.objectives(fewer) < landscape.objectives(kept)).all()
    assert (landscape.log_ratio(fewer) < landscape.log_ratio(kept)).all()


def test_evaluation_is_the_truth_with_noise_of_the_stated_size():
    landscape = Landscape(noise=0.05)
    kept = np.full(12, 200)
    truth = landscape.objectives(kept)
    noisy = np.array([_asked(landscape, kept, f"m{i}") for i in range(400)])
    assert landscape.evaluate(kept, "m0", 64) == landscape.evaluate(kept, "m0", 64)
    np.testing.assert_allclose(noisy.mean(axis=0), truth, atol=4 * 0.05 * np.sqrt(2 / 400))
    np.testing.assert_allclose(noisy.std(axis=0), 0.05 * np.sqrt(2), rtol=0.15)


def test_plans_of_a_minibatch_share_part_of_their_noise():
    landscape = Landscape(noise=0.05)
    plans = [np.full(12, 200), np.full(12, 210)]
    residuals = np.array(
        [
            [_asked(landscape, plan, f"m{i}") - landscape.objectives(plan) for plan in plans]
            for i in range(300)
        ]
    )
    correlation = np.corrcoef(residuals[:, 0, 0], residuals[:, 1, 0])[0, 1]
    assert correlation == pytest.approx(0.5, abs=0.15)


def test_a_quarter_of_the_questions_is_twice_as_noisy():
    landscape = Landscape(noise=0.05)
    kept = np.full(12, 200)
    few = np.array([_asked(landscape, kept, f"m{i}", 16) for i in range(400)])
    np.testing.assert_allclose(few.std(axis=0), 0.1 * np.sqrt(2), rtol=0.15)
