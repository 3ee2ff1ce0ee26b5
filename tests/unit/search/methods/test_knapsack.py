from itertools import product

import numpy as np
import pytest

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Archive
from hipp_prune.search.methods.knapsack import measure_sensitivity, solve_knapsack
from hipp_prune.search.session import Session
from hipp_prune.search.settings import SearchSettings
from tests.unit.plans.shapes import make_shape

SPACE = PlanSpace(shape=make_shape((400, 400, 400)), r_max=0.8)


@pytest.mark.parametrize("sparsity", [0.2, 0.4, 0.6])
def test_the_knapsack_finds_the_best_of_all_combinations(sparsity):
    """Damage with dents, so that no greedy choice would do."""
    damage = np.cumsum(np.random.default_rng(3).exponential(size=(3, 5)), axis=1) - 1
    damage[:, 0] = 0
    choices = np.linspace(0.0, 0.8, 21)
    costs = np.stack([np.interp(choices, np.linspace(0, 0.8, 5), row) for row in damage])
    cells = round(sparsity / 0.8 * 60)
    combinations = [c for c in product(range(21), repeat=3) if sum(c) == cells]
    best = min(sum(costs[unit, c] for unit, c in enumerate(choice)) for choice in combinations)
    (ratios,) = solve_knapsack(damage, np.array([sparsity]), SPACE)
    found = sum(np.interp(r, choices, row) for r, row in zip(ratios, costs, strict=True))
    assert ratios.mean() == pytest.approx(sparsity)
    assert found == pytest.approx(best, abs=1e-6)


def test_heavy_units_are_weighed_in_the_knapsack():
    space = PlanSpace(shape=make_shape((100, 400)), r_max=0.8)
    cheap_small = np.array([[0.0, 0.1, 0.2, 0.3, 0.4], [0.0, 1.0, 2.0, 3.0, 4.0]])
    (ratios,) = solve_knapsack(cheap_small, np.array([0.16]), space)
    np.testing.assert_allclose(ratios, [0.8, 0.0], atol=1e-3)


def test_sensitivities_of_a_noiseless_landscape_are_its_own():
    world = Landscape(blocks=4, noise=0.0)
    settings = SearchSettings(evaluations=17, method="knapsack")
    session = Session(problem=world, settings=settings, archive=Archive())
    damage = measure_sensitivity(session)
    assert session.spent == 17
    expected = world.sensitivity[..., None] * (np.linspace(0, 0.8, 5) ** world.power[..., None])
    np.testing.assert_allclose(damage, expected, atol=0.01)


def test_what_was_never_measured_is_interpolated():
    """Eight evaluations of eight questions: the dense model, and the largest levels of some units."""
    world = Landscape(blocks=12, noise=0.0)
    settings = SearchSettings(evaluations=1, minibatch=64, method="knapsack")
    damage = measure_sensitivity(Session(problem=world, settings=settings, archive=Archive()))
    np.testing.assert_allclose(damage[:, 0], damage[:, 0, -1:] * np.linspace(0, 1, 5), atol=1e-9)
    assert (damage[:, :7, -1] > 0).all()
    assert (damage[:, 7:] == 0).all()
