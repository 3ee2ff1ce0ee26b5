import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipp_prune.errors import BudgetError, InputError, PlanError
from hipp_prune.files.strict import parse_json
from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.costs import Costs, CostTable, rising
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.settings import SearchSettings
from tests.unit.plans.shapes import make_plan, make_shape


def linear_table(costs: Floats, constant: float) -> CostTable:
    return CostTable(constant=constant, units=tuple((0.0, float(cost)) for cost in costs), conditions="")


def space_of(table: CostTable, neurons: tuple[int, ...], *, r_max: float = 0.8) -> PlanSpace:
    return PlanSpace(
        shape=make_shape(neurons), r_max=r_max, compression="latency", tables=Costs(latency=table)
    )


def test_costs_by_hand():
    table = CostTable(constant=4.0, units=((0.0, 1.0, 3.0), (1.0, 2.0, 3.0)), conditions="by hand")
    assert table.dense == 10.0
    np.testing.assert_allclose(table.unit_costs(np.array([0.25, 0.5])), [2.0, 2.0])
    np.testing.assert_allclose(
        table.unit_costs(np.array([[0.0, 0.75], [1.0, 1.0]])), [[3.0, 1.5], [0.0, 1.0]]
    )
    np.testing.assert_allclose(table.saved(np.array([[0.25, 0.5], [0.0, 0.0]])), [0.2, 0.0])


@pytest.mark.parametrize(
    "change",
    [{"units": ((1.0, 0.5),)}, {"units": ((1.0,),)}, {"constant": -1.0}, {"units": ((0.0, np.nan),)},
     {"units": ((0.0, 1.0), (0.0,))}, {"units": ((0.0, 0.0),), "constant": 0.0}],
)  # fmt: skip
def test_a_table_that_makes_no_sense_is_refused(change):
    table = linear_table(np.ones(1), 1.0)
    with pytest.raises(ValueError):  # noqa: PT011 (numpy words one of them)
        replace(table, **change)


def test_tables_survive_json():
    costs = Costs(flops=linear_table(np.array([0.1, 1 / 3]), 1e15))
    text = json.dumps(asdict(costs))
    assert parse_json(text, Costs, where="plan.json", remedy="write it again", error=PlanError) == costs


def test_rising_by_hand():
    assert rising(np.array([1.0, 3.0, 2.0, 4.0])).tolist() == [1.0, 2.5, 2.5, 4.0]
    assert rising(np.array([3.0, 2.0, 1.0])).tolist() == [2.0, 2.0, 2.0]
    assert rising(np.array([3.0, 0.0]), np.array([1.0, 2.0])).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12))
def test_rising_is_the_nearest_rising_sequence(values):
    fitted = rising(np.array(values))
    assert (np.diff(fitted) >= 0).all()
    # optimal iff the residual is orthogonal to the fit and every tail's residuals sum to at most zero
    residual = np.array(values) - fitted
    assert residual @ fitted == pytest.approx(0, abs=1e-6)
    assert (np.cumsum(residual[::-1]) <= 1e-6).all()


@st.composite
def spaces(draw):
    """A space whose measure is an arbitrary rising table, and a generator."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    units = draw(st.integers(1, 8))
    steps = rng.exponential(size=(units, draw(st.sampled_from([1, 4, 8]))))
    steps[rng.random(steps.shape) < draw(st.sampled_from([0.0, 0.3]))] = 0.0  # widths that save nothing
    table = np.concatenate([np.zeros((units, 1)), steps.cumsum(axis=1)], axis=1)
    constant = draw(st.floats(0.01, 30.0))
    costs = CostTable(constant=constant, units=tuple(map(tuple, table.tolist())), conditions="")
    neurons = tuple(rng.integers(60, 400, size=units).tolist())
    return space_of(costs, neurons, r_max=draw(st.floats(0.3, 0.9))), rng


@settings(max_examples=40)
@given(spaces())
def test_ratios_save_what_was_asked_for(drawn):
    space, rng = drawn
    targets = rng.uniform(0, space.attainable, size=4)
    ratios = space.ratios(rng.normal(size=(4, space.num_units)), targets)
    assert (ratios >= 0).all()
    assert (ratios <= space.r_max).all()
    np.testing.assert_allclose(space.saved(ratios), targets, rtol=0, atol=1e-9)


@settings(max_examples=40)
@given(spaces())
def test_whole_neurons_save_it_to_one_step(drawn):
    space, rng = drawn
    targets = rng.uniform(0, space.attainable, size=4)
    kept = space.kept(space.ratios(rng.normal(size=(4, space.num_units)), targets))
    assert (kept <= space.widths).all()
    assert (space.widths - kept <= space.r_max * space.widths + 1e-6).all()
    table = np.array(space.tables.latency.units)
    step = (
        np.diff(table, axis=1).max(axis=1) * (table.shape[1] - 1) / space.widths
    ).max() / space.tables.latency.dense
    assert (np.abs(space.sparsity(kept) - targets) <= step + 1e-9).all()


@settings(max_examples=40)
@given(spaces())
def test_a_larger_saving_removes_no_less_of_any_unit(drawn):
    space, rng = drawn
    log_a = np.tile(rng.normal(size=space.num_units), (3, 1))
    ratios = space.ratios(log_a, np.sort(rng.uniform(0, space.attainable, size=3)))
    assert (np.diff(ratios, axis=0) >= -1e-9).all()


def test_a_measure_proportional_to_parameters_gives_the_plans_of_parameters():
    shape = make_shape((100,) * 6)
    plain = PlanSpace(shape=shape, r_max=0.8)
    table = linear_table(
        plain.weights, constant=float(plain.weights.sum())
    )  # MLPs are half of a forward pass
    counted = replace(plain, compression="flops", tables=Costs(flops=table))
    log_a = np.random.default_rng(0).normal(size=(50, 6))
    targets = np.linspace(0.01, 0.79, 50)
    kept = counted.kept(counted.ratios(log_a, targets / 2))
    assert (kept == plain.kept(plain.ratios(log_a, targets))).all()
    np.testing.assert_allclose(counted.sparsity(kept), plain.sparsity(kept) / 2)


def test_neurons_that_cost_nothing_do_not_loop():
    space = space_of(CostTable(constant=1.0, units=((1.0, 1.0, 2.0),) * 2, conditions=""), (100, 100))
    kept = space.kept(space.ratios(np.array([[0.0, 0.3]]), np.array([space.attainable])))
    assert space.sparsity(kept)[0] == pytest.approx(space.attainable, abs=0.01)


@pytest.mark.parametrize("target", [-0.01, 0.41, 0.7])
def test_what_no_plan_saves_is_refused_with_what_is_attainable(target):
    space = space_of(linear_table(np.ones(4), constant=4.0), (50,) * 4)  # r_max = 0.8 of half the cost
    with pytest.raises(
        BudgetError, match=rf"latency to save must lie in \[0, 0\.4\].*r_max = 0\.8.*got {target:g}"
    ):
        space.check_budget(target)
    with pytest.raises(BudgetError, match=r"ask for less"):
        space.ratios(np.zeros((1, 4)), np.array([target]))


def test_alignment_that_saves_too_much_is_refused():
    space = space_of(linear_table(np.ones(4), constant=4.0), (100,) * 4)
    with pytest.raises(BudgetError, match=r"--align 64 the smallest sparsity is 0\.18"):
        space.kept(space.ratios(np.zeros((1, 4)), np.array([0.01])), align=64)


def test_ledger_shows_every_measure_it_knows():
    tables = Costs(flops=linear_table(np.ones(2), 2.0), latency=linear_table(np.array([3.0, 1.0]), 0.0))
    space = PlanSpace(shape=make_shape((10, 10)), tables=tables)
    ledger = space.ledger(np.array([5, 10]))
    assert (ledger.mlp, ledger.flops, ledger.latency) == (0.25, 0.125, 0.375)
    assert PlanSpace(shape=make_shape((10, 10))).ledger(np.array([5, 10])).flops is None


def test_a_table_of_another_model_is_refused():
    with pytest.raises(ValueError, match="3 units for a space of 2"):
        PlanSpace(shape=make_shape((10, 10)), tables=Costs(flops=linear_table(np.ones(3), 1.0)))


def test_a_plan_file_holds_its_tables_and_must_agree_with_them():
    tables = Costs(flops=linear_table(np.ones(2), 2.0))
    bare = make_plan(make_shape((10, 12)), "coupled", (5, 12))
    plan = replace(bare, tables=tables, ledger=replace(bare.ledger, flops=0.125))
    assert Plan.from_json(plan.to_json()) == plan
    content = json.loads(plan.to_json())
    for change in (
        {"sparsity": {**content["sparsity"], "flops": 0.2}},
        {"costs": {"flops": None, "latency": None}},
    ):
        with pytest.raises(PlanError, match="the counts mean a sparsity of"):
            Plan.from_json(json.dumps({**content, **change}))
    with pytest.raises(PlanError, match=r"a field 'costs\.flops\.units'"):
        Plan.from_json(json.dumps({**content, "costs": {"flops": {"constant": 1.0}}}))


def test_masked_rows_cannot_be_searched_for_what_they_do_not_save():
    with pytest.raises(InputError, match="masked rows save no latency"):
        SearchSettings(unit="rows", compression="latency")
