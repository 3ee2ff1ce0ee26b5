"""Targets besides sparsity are met to one neuron, or refused with what is attainable."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipp_prune.errors import BudgetError, RequirementError
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.costs import Costs, CostTable, rising
from hipp_prune.plans.footprint import Footprint
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.search.query.forecast import Forecast, fit_forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.query.requirements import Requirement, meet_requirements
from hipp_prune.search.query.targets import (
    SizeTarget,
    SpeedTarget,
    Target,
    bounds,
    largest_plans,
    meet_all,
    shown_speed,
    target_notes,
)
from hipp_prune.search.query.uniform import best_uniform
from tests.unit.search.known_world import make_archive, make_planner

WORLD = Landscape()
ARCHIVE = make_archive(WORLD, 200, 24)
WIDTHS = tuple(int(width) for width in WORLD.space.widths)
FOOTPRINT = Footprint(
    weights=50_000_000, neurons=WIDTHS, neuron_bytes=(6144,) * len(WIDTHS), biases=4096, token=2048
)
EVEN = Preference.parse("1,1,1")


def latencies(seed: int) -> CostTable:
    """Measured seconds: steps, flat parts and noise among them, but never falling."""
    rng = np.random.default_rng(seed)
    units = [
        tuple(rising(np.round(np.linspace(0, 1, 9) + 0.1 * rng.normal(size=9), 1)).clip(0).tolist())
        for _ in WIDTHS
    ]
    return CostTable(constant=5.0, units=tuple(units), conditions="by hand")


@cache
def planner_of(seed: int | None) -> Planner:
    planner = make_planner(WORLD, ARCHIVE)
    table = None if seed is None else latencies(seed)
    return replace(planner, space=replace(planner.space, tables=Costs(latency=table)))


@cache
def forecast() -> Forecast:
    return fit_forecast(ARCHIVE, WORLD.space)


def fit(limit: int, **changes: int) -> SizeTarget:
    return SizeTarget(footprint=FOOTPRINT, size=str(limit), limit=limit, **changes)


def neighbours(kept: np.ndarray, widest: np.ndarray, align: int) -> np.ndarray:
    """The plans with one step more in one block, as far as it has room."""
    more = kept + align * np.eye(len(kept), dtype=np.int64)
    return more[(more <= widest).all(axis=1)]


def check_met_to_one_neuron(
    planner: Planner, targets: Sequence[Target], kept: np.ndarray, align: int
) -> None:
    narrowest, widest = bounds(planner.space, align)
    assert (narrowest <= kept).all()
    assert (kept <= widest).all()
    assert (kept % align == 0).all()
    assert meet_all(targets, kept[None])[0]
    assert not meet_all(targets, neighbours(kept, widest, align)).any()


@settings(max_examples=10, deadline=None)
@given(
    st.floats(0.02, 0.98),
    st.sampled_from([1, 8, 32]),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.booleans(),
)
def test_the_largest_model_that_fits_is_answered(
    share: float, align: int, weights: list[float], cache: bool
) -> None:
    planner = planner_of(None)
    narrowest, widest = bounds(planner.space, align)
    options = {"context": 100, "batch": 2} if cache else {}
    ends = [int(fit(0, **options).bytes(end)) for end in (narrowest, widest)]
    target = fit(int(ends[0] + share * (ends[1] - ends[0])), **options)
    preference = Preference.of(weights if any(weights) else [1, 1, 1])
    kept = largest_plans(planner, [target], preference.vector[None], align=align)[0]
    check_met_to_one_neuron(planner, [target], kept, align)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.05, 0.95), st.sampled_from([1, 16]), st.integers(0, 5), st.booleans())
def test_the_largest_model_of_a_speed_is_answered(share: float, align: int, seed: int, latency: bool) -> None:
    planner = planner_of(seed)
    if latency:  # searched in seconds: a sparsity is a share of them
        space = replace(planner.space, compression="latency")
        planner = replace(planner, space=space, answers=replace(planner.answers, space=space))
    table = planner.space.tables.latency
    assert table is not None
    fastest = float(
        SpeedTarget(table=table, widths=planner.space.widths, factor=2.0).reached(
            bounds(planner.space, align)[0]
        )
    )
    target = SpeedTarget(table=table, widths=planner.space.widths, factor=1 + share * (fastest - 1))
    if meet_all([target], bounds(planner.space, align)[1][None])[0]:
        return  # rounding the widths down is enough
    kept = largest_plans(planner, [target], EVEN.vector[None], align=align)[0]
    check_met_to_one_neuron(planner, [target], kept, align)


def test_answers_too_large_by_the_papers_rule_are_taken_back() -> None:
    planner = planner_of(None)

    class Drifting:
        def kept(self, preferences: np.ndarray, budget: np.ndarray, *, align: int = 1) -> np.ndarray:
            return np.array([WIDTHS] * len(preferences)) // align * align

    target = fit(35_000_000)
    drifting = replace(planner, answers=Drifting())
    kept = largest_plans(drifting, [target], EVEN.vector[None], align=8)[0]
    check_met_to_one_neuron(planner, [target], kept, 8)


def test_several_targets_are_met_together() -> None:
    planner = planner_of(1)
    table = planner.space.tables.latency
    assert table is not None
    targets = [fit(44_000_000), SpeedTarget(table=table, widths=planner.space.widths, factor=1.1)]
    kept = largest_plans(planner, targets, EVEN.vector[None])[0]
    check_met_to_one_neuron(planner, targets, kept, 1)
    plan = planner.plan(kept, preference=EVEN, align=1, **target_notes(targets, kept))
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.asked_and_got is not None
    assert "asked to fit 44000000, takes" in plan.asked_and_got
    assert "asked for 1.1 × the speed, got 1.1" in plan.asked_and_got


def test_what_is_out_of_reach_says_what_is_attainable_and_that_is_true() -> None:
    planner = planner_of(None)
    with pytest.raises(BudgetError, match=r"attains --fit (\d+)\.?\d*MB;") as error:
        largest_plans(planner, [fit(1_000_000)], EVEN.vector[None])
    offered = float(str(error.value).split("attains --fit ")[1].split("MB")[0])
    assert (
        largest_plans(planner, [fit(int(offered * 1e6))], EVEN.vector[None])[0]
        <= bounds(planner.space, 1)[0] + 1
    ).all()
    with pytest.raises(BudgetError, match="needs no pruning"):
        largest_plans(planner, [fit(50_000_000)], EVEN.vector[None])
    with pytest.raises(BudgetError, match="needs no pruning"):
        best_uniform(planner, ARCHIVE, EVEN, targets=[fit(50_000_000)])


def test_one_width_for_all_blocks() -> None:
    target = fit(40_000_000)
    plan = best_uniform(planner_of(None), ARCHIVE, EVEN, targets=[target], align=8)
    kept = np.array(plan.kept)
    assert len(set(plan.kept)) == 1
    assert meet_all([target], kept[None])[0]
    assert not meet_all([target], kept[None] + 8)[0]
    assert plan.notes["fit"] == "40000000"


def test_a_requirement_is_met_within_a_target() -> None:
    planner, target, wanted = planner_of(None), fit(40_000_000), [Requirement.parse("pope=0.7")]
    plan = meet_requirements(planner, forecast(), ARCHIVE, wanted, targets=[target])
    assert meet_all([target], np.array(plan.kept)[None])[0]
    assert plan.notes["predicted"]["pope"]["mean"] - plan.notes["predicted"]["pope"]["margin"] >= 0.7
    assert plan.preference == Preference.parse("0,1,0")  # pope is required, and bytes are
    with pytest.raises(
        RequirementError, match=r"pope=0.99 with --fit 40000000 is out of reach.*ask for pope ≤"
    ):
        meet_requirements(planner, forecast(), ARCHIVE, [Requirement.parse("pope=0.99")], targets=[target])


@given(st.floats(1, 1e5), st.floats(1, 1e5))
def test_a_speed_that_is_refused_is_never_shown_as_reached(reached: float, asked: float) -> None:
    shown = float(shown_speed(reached))
    assert reached - 0.002 < shown <= reached
    if asked > reached:
        assert shown < asked
