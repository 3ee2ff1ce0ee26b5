import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import BudgetError
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.policy.action import decode_actions, flatten_actions, make_context
from tests.unit.plans.shapes import make_shape


def _space(unit: str = "coupled", r_max: float = 0.8) -> PlanSpace:
    return PlanSpace(shape=make_shape((352,) * 6, hidden=128), unit=unit, r_max=r_max)


def _actions(count: int, units: int, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=spread, size=(count, 1 + units))


def test_context():
    context = make_context(np.array([[0.1, 0.5]]), np.array([[0.2, 0.3, 0.5]]))
    assert context.dtype == torch.float32
    np.testing.assert_allclose(context.numpy(), [[0.1, 0.5, 0.2, 0.3, 0.5]], atol=1e-7)


@pytest.mark.parametrize("unit", ["coupled", "rows"])
@given(seed=st.integers(0, 2**32), spread=st.sampled_from([0.1, 3.0, 300.0]))
def test_sparsity_lies_in_its_interval(unit, seed, spread):
    space = _space(unit)
    budget = np.sort(np.random.default_rng(seed).uniform(0, 0.8, size=(8, 2)), axis=1)
    with np.errstate(over="ignore"):
        plans = decode_actions(_actions(8, space.num_units, seed, spread), budget, space)
    half = 0.5 * space.costs.max() / space.weights.sum()
    assert (plans.sparsity >= budget[:, 0] - half).all()
    assert (plans.sparsity <= budget[:, 1] + half).all()
    assert (space.widths - plans.kept <= 0.8 * space.widths + 1e-9).all()
    np.testing.assert_allclose(plans.sparsity, space.sparsity(plans.kept))


@pytest.mark.parametrize("sparsity", [0.0, 0.137, 0.225, 0.79])
@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_a_point_of_the_budget_is_met_to_one_neuron(unit, sparsity):
    space = _space(unit)
    plans = decode_actions(_actions(16, space.num_units), np.full((16, 2), sparsity), space)
    assert np.abs(plans.sparsity - sparsity).max() <= space.costs.max() / space.weights.sum()


def test_the_very_edge_of_the_box_is_the_whole_neurons_inside_it():
    plans = decode_actions(_actions(4, 6), np.full((4, 2), 0.8), _space())
    assert (plans.kept == 352 - 281).all()  # ⌊0.8 · 352⌋ of each block: no plan in the box loses more


def test_formulas_by_hand():
    """u = sigmoid(z_u) picks s, a = softmax(z_a) spreads it."""
    space = PlanSpace(shape=make_shape((1000, 1000)), r_max=0.9)
    z = np.array([[np.log(3.0), np.log(0.3), np.log(0.1)]])  # u = 0.75, a = (0.75, 0.25)
    plans = decode_actions(z, np.array([[0.1, 0.3]]), space)
    assert plans.kept.tolist() == [[1000 - 375, 1000 - 125]]  # s = 0.25, r = s · 2 · a
    assert plans.sparsity.tolist() == [0.25]


def test_kappa_sharpens():
    space = PlanSpace(shape=make_shape((1000, 1000)), r_max=0.9)
    z = np.array([[0.0, np.log(2.0), 0.0]])
    plans = decode_actions(z, np.array([[0.25, 0.25]]), space, kappa=2.0)
    assert plans.kept.tolist() == [[600, 900]]  # shares 4 : 1


def test_extreme_allocations_fill_up_the_box():
    space = _space()
    z = np.array([[0.0, 800.0, 0.0, 0.0, 0.0, 0.0, -800.0]])
    plans = decode_actions(z, np.array([[0.5, 0.5]]), space)
    assert (352 - plans.kept[0]).tolist()[0] == 281  # ⌊0.8 · 352⌋
    assert plans.kept[0, -1] == 352
    assert plans.sparsity[0] == pytest.approx(0.5, abs=1 / (6 * 352))


def test_paper_rule_floors_and_drifts():
    space = _space()
    plans = decode_actions(
        np.array([[0.0] * 3 + [9.0] + [0.0] * 3]), np.array([[0.4, 0.4]]), space, rule="paper"
    )
    assert plans.sparsity[0] < 0.2


@pytest.mark.parametrize("align", [8, 32])
def test_alignment(align):
    space = _space()
    plans = decode_actions(_actions(8, 6), np.full((8, 2), 0.3), space, align=align)
    assert (plans.kept % align == 0).all()
    assert np.abs(plans.sparsity - 0.3).max() <= 0.5 * align / (6 * 352) + 1e-12


def test_budget_outside_the_box():
    with pytest.raises(BudgetError, match="r_max"):
        decode_actions(_actions(1, 6), np.array([[0.9, 0.9]]), _space())


def test_flat_ratios_by_hand():
    """r = r_max · sigmoid(z), untouched where their sum lies in the budget interval."""
    space = PlanSpace(shape=make_shape((1000, 1000)), r_max=0.8)
    z = np.array([[0.0, np.log(1 / 3)]])  # r = 0.4, 0.2: s = 0.3
    assert decode_actions(z, np.array([[0.1, 0.5]]), space).kept.tolist() == [[600, 800]]


@pytest.mark.parametrize(("budget", "kept"), [((0.1, 0.15), [800, 900]), ((0.45, 0.5), [400, 700])])
def test_flat_ratios_are_projected_to_the_nearer_end(budget, kept):
    space = PlanSpace(shape=make_shape((1000, 1000)), r_max=0.8)
    z = np.array([[0.0, np.log(1 / 3)]])
    assert decode_actions(z, np.array([budget]), space).kept.tolist() == [kept]


def test_flat_ratios_know_no_concentration():
    z, budget = _actions(4, 5), np.tile([0.1, 0.5], (4, 1))  # 6 entries for 6 units: flat
    plain, sharp = (decode_actions(z, budget, _space(), kappa=kappa).kept for kappa in (1.0, 3.0))
    np.testing.assert_array_equal(plain, sharp)


@pytest.mark.parametrize("kappa", [1.0, 2.0])
def test_flattened_actions_mean_the_same_plans(kappa):
    space = _space()
    z, budget = _actions(16, 6, spread=0.5), np.tile([0.1, 0.5], (16, 1))
    flat = flatten_actions(z, budget, space, kappa=kappa)
    assert flat.shape == (16, 6)
    wanted = decode_actions(z, budget, space, kappa=kappa).kept
    assert np.abs(decode_actions(flat, budget, space).kept - wanted).max() <= 1
