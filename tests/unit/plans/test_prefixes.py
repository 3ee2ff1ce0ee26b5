"""One order for several plans: each keeps the first so many, or none is made and the reason given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import PlanError
from hipp_prune.plans.plan import Plan, keep_masks, pack_masks
from hipp_prune.plans.prefixes import living_neurons, nested_orders, neuron_ranks, order_ranks
from hipp_prune.plans.space import PlanSpace, UnitKind
from tests.unit.plans.shapes import make_plan, make_shape

SHAPE = make_shape((12, 9), hidden=5)
units = st.sampled_from(["coupled", "rows"])


def rankings(unit: UnitKind, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    widths = SHAPE.neurons if unit == "coupled" else [w for n in SHAPE.neurons for w in (n, n, 5)]
    return [rng.permutation(width) for width in widths]


def ranked_plan(unit: UnitKind, orders: list[np.ndarray], kept: list[int]) -> Plan:
    space = PlanSpace(shape=SHAPE, unit=unit, r_max=0.999)
    return Plan(
        shape=SHAPE, unit=unit, kept=tuple(kept), masks=pack_masks(keep_masks(unit, orders, kept)),
        ledger=space.ledger(np.array(kept)), importance="test",
    )  # fmt: skip


@given(units, st.integers(0, 99), st.data())
def test_every_plan_of_one_ranking_is_a_prefix(unit: UnitKind, seed: int, data: st.DataObject) -> None:
    """With the ranking or without: the first so many of each block live, and no others."""
    orders = rankings(unit, seed)
    widths = PlanSpace(shape=SHAPE, unit=unit).widths
    counts = st.tuples(*[st.integers(1, int(width)) for width in widths])
    kept = data.draw(st.lists(counts, min_size=1, max_size=4))
    plans = {str(number): ranked_plan(unit, orders, list(each)) for number, each in enumerate(kept)}
    for known in (None, neuron_ranks(unit, orders)):
        sorted_neurons = nested_orders(plans, known)
        for name, plan in plans.items():
            for order, living in zip(sorted_neurons, living_neurons(plan), strict=True):
                assert sorted(order) == list(range(len(order)))
                assert living[order[: living.sum()]].all(), name


@given(st.integers(0, 99))
def test_a_known_ranking_is_the_order(seed: int) -> None:
    """Plans tell which neurons come before which, the ranking all the rest: together they are the ranking."""
    orders = rankings("coupled", seed)
    plans = {"a": ranked_plan("coupled", orders, [4, 3]), "b": ranked_plan("coupled", orders, [9, 9])}
    for found, order in zip(nested_orders(plans, neuron_ranks("coupled", orders)), orders, strict=True):
        assert np.array_equal(found, order)
        assert np.array_equal(order[order_ranks(order)], np.arange(len(order)))


def test_a_neuron_of_rows_lives_where_gate_and_up_do() -> None:
    plan = make_plan(SHAPE, "rows", (7, 4, 5, 3), seed=3)
    gate, up = plan.keep_masks()[0:2]
    assert np.array_equal(living_neurons(plan)[0], gate & up)
    orders = rankings("rows", 0)
    assert np.array_equal(
        neuron_ranks("rows", orders)[0], np.maximum(order_ranks(orders[0]), order_ranks(orders[1]))
    )


def test_plans_that_are_not_nested_are_refused_by_name() -> None:
    plans = {name: make_plan(SHAPE, "coupled", (6, 6), seed=seed) for name, seed in (("a", 0), ("b", 1))}
    with pytest.raises(
        PlanError, match=r"plans a and b cannot be prefixes of one order: in block 0 \d+ neurons"
    ):
        nested_orders(plans)


def test_plans_of_two_models_are_refused() -> None:
    plans = {"a": make_plan(SHAPE, "coupled", (6, 6))}
    plans["b"] = make_plan(make_shape((12, 9), hidden=5, fingerprint="other"), "coupled", (6, 6))
    with pytest.raises(
        PlanError, match=r"plans a and b were made for different models \(fingerprints abc and other\)"
    ):
        nested_orders(plans)
