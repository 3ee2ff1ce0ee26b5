import base64
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import BudgetError, PlanError
from hipp_prune.plans.plan import Plan, keep_masks, pack_masks
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import PlanSpace
from tests.unit.plans.shapes import make_plan, make_shape

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def plans(draw):
    unit = draw(st.sampled_from(["coupled", "rows"]))
    neurons = draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
    shape = make_shape(neurons, hidden=draw(st.integers(1, 20)), family=draw(st.text(max_size=8)))
    widths = PlanSpace(shape=shape, unit=unit).widths.tolist()
    kept = [draw(st.integers(0, width)) for width in widths]
    weights = draw(st.none() | st.tuples(*[st.floats(0.01, 9)] * 3))
    return make_plan(
        shape, unit, kept,
        preference=None if weights is None else Preference.of(weights),
        notes=draw(st.dictionaries(st.text(), json_values, max_size=3)),
        seed=draw(st.integers(0, 99)),
    )  # fmt: skip


@given(plans())
def test_json_round_trip(plan):
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()


@given(plans())
def test_masks_keep_what_the_counts_say(plan):
    counts = [int(mask.sum()) for mask in plan.keep_masks()]
    if plan.unit == "rows":
        assert counts[0::3] == counts[1::3]
        counts = [count for pair in zip(counts[0::3], counts[2::3], strict=True) for count in pair]
    assert counts == list(plan.kept)
    assert [len(mask) for mask in plan.keep_masks()] == list(plan.mask_widths)


def test_keep_masks_take_the_best_in_original_order():
    masks = keep_masks("coupled", [np.array([3, 0, 2, 1]), np.array([1, 0])], (2, 1))
    assert [mask.tolist() for mask in masks] == [[True, False, False, True], [False, True]]


def test_keep_masks_of_rows_share_the_ratio_not_the_rows():
    orders = [np.array([0, 1, 2]), np.array([2, 1, 0]), np.array([1, 0])]
    gate, up, down = keep_masks("rows", orders, (2, 1))
    assert gate.tolist() == [True, True, False]
    assert up.tolist() == [False, True, True]
    assert down.tolist() == [False, True]


def test_packed_masks_are_one_bit_a_neuron():
    assert pack_masks([np.arange(12) % 2 == 0]) == (bytes([0b10101010, 0b10100000]),)


def test_ledger_of_coupled_neurons():
    shape = make_shape(
        (10, 30), hidden=6, block_parameters=1000, language_parameters=2000, total_parameters=4000
    )
    ledger = PlanSpace(shape=shape).ledger(np.array([5, 30]))
    removed = 5 * 18
    assert ledger.mlp == pytest.approx(removed / (40 * 18)) == pytest.approx(5 / 40)
    assert ledger.block == pytest.approx(removed / 1000)
    assert ledger.language == pytest.approx(removed / 2000)
    assert ledger.model == pytest.approx(removed / 4000)


def test_ledger_of_rows():
    space = PlanSpace(shape=make_shape((10,), hidden=6), unit="rows")
    assert space.widths.tolist() == [10, 6]
    assert space.costs.tolist() == [12, 10]  # a gate row and an up row; a down row
    assert space.weights.sum() == 3 * 6 * 10
    ledger = space.ledger(np.array([7, 4]))
    assert ledger.mlp == pytest.approx((3 * 12 + 2 * 10) / 180)
    assert ledger.model == pytest.approx((3 * 12 + 2 * 10) / (4 * 180))
    assert space.sparsity(np.array([[7, 4], [10, 6]])).tolist() == [ledger.mlp, 0.0]


def test_space_of_rows_orders_units_by_block():
    space = PlanSpace(shape=make_shape((10, 20), hidden=6), unit="rows")
    assert space.num_units == 4
    assert space.widths.tolist() == [10, 6, 20, 6]
    assert space.costs.tolist() == [12, 10, 12, 20]


@pytest.mark.parametrize("r_max", [0.0, 1.0, -0.1, 1.5])
def test_r_max_is_a_proper_fraction(r_max):
    with pytest.raises(BudgetError, match="r_max must lie strictly between 0 and 1"):
        PlanSpace(shape=make_shape(), r_max=r_max)


@pytest.mark.parametrize("sparsity", [0.61, 1.0, -0.1, float("nan")])
def test_check_budget_refuses(sparsity):
    with pytest.raises(BudgetError, match=r"\[0, 0\.6\].*ask for less or search with a larger --r-max"):
        PlanSpace(shape=make_shape(), r_max=0.6).check_budget(sparsity)


def test_check_budget_allows_the_box():
    space = PlanSpace(shape=make_shape(), r_max=0.6)
    space.check_budget(0.0)
    space.check_budget(0.6)


def test_ratios_and_kept_by_rule():
    space = PlanSpace(shape=make_shape((10, 10, 10)), r_max=0.6)
    log_a = np.log(np.array([[0.9, 0.05, 0.05]]))
    exact = space.kept(space.ratios(log_a, np.array([0.4])))
    drifted = space.kept(space.ratios(log_a, np.array([0.4]), rule="paper"), rule="paper")
    assert space.sparsity(exact).tolist() == [pytest.approx(0.4)]
    assert drifted.tolist() == [[4, 10, 10]]


def test_an_alignment_that_removes_more_than_asked_for_is_an_error():
    space = PlanSpace(shape=make_shape((352,) * 6, hidden=128), r_max=0.8)
    with pytest.raises(BudgetError, match=r"--align 128 the smallest sparsity is 0\.2727"):
        space.kept(np.full((1, 6), 0.1), align=128)
    assert set(space.kept(np.full((1, 6), 0.3), align=128).flatten().tolist()) <= {128, 256}


def _plan() -> Plan:
    return make_plan(make_shape((10, 12)), "coupled", (4, 12))


def test_plan_ratios():
    np.testing.assert_allclose(_plan().ratios, [0.6, 0.0])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"family": "qwen2_5_vl"}, "made for a llava model, this one is qwen2_5_vl"),
        ({"neurons": (10, 13)}, "2 blocks of 10–12 neurons .* this model has 2 of 10–13"),
        ({"neurons": (10, 12, 10)}, "this model has 3 of"),
        ({"hidden_size": 8}, r"hidden size 6\).*hidden size 8\)"),
        ({"fingerprint": "xyz"}, "other weights .fingerprint abc, this model has xyz"),
    ],
)
def test_check_model_names_what_differs(change, complaint):
    plan = _plan()
    plan.check_model(plan.shape)
    with pytest.raises(PlanError, match=complaint):
        plan.check_model(replace(plan.shape, **change))


def _content(plan: Plan) -> dict:
    return json.loads(plan.to_json())


def _without(plan: Plan, field: str) -> str:
    return json.dumps({name: value for name, value in _content(plan).items() if name != field})


@pytest.mark.parametrize(
    "field",
    ["format", "unit", "kept", "masks", "sparsity", "costs", "importance", "model", "notes", "preference"],
)
def test_missing_field(tmp_path, field):
    path = tmp_path / "plan.json"
    path.write_text(_without(_plan(), field))
    with pytest.raises(PlanError, match=f"{field}") as caught:
        Plan.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 1}, "'format' to be at least 2, found 1; write one with `hipp-prune query"),
        ({"unit": "columns"}, "'unit' to be 'coupled' or 'rows', found 'columns'"),
        ({"kept": [5, 12]}, "masks keep .4, 12. neurons, the counts say .5, 12."),
        ({"kept": [4]}, "do not fit the model"),
        ({"kept": ["four", 12]}, r"'kept\[0\]' to be an integer, found 'four'"),
        ({"kept": [4.0, 12]}, r"'kept\[0\]' to be an integer, found 4.0"),
        ({"kept": [True, 12]}, r"'kept\[0\]' to be an integer, found True"),
        ({"kept": None}, "'kept' to be a list, found None"),
        ({"notes": {"require": [1]}}, "notes: expected field 'require' to be an object, found a list of 1"),
        ({"colour": "blue"}, "no field 'colour'"),
        ({"masks": ["AAA=", "////"]}, "masks"),
        ({"masks": ["!", "!"]}, "masks in base64"),
        ({"masks": ["AA==", "////"]}, "masks are not as long"),
        ({"masks": []}, "0 masks do not fit"),
        (
            {"preference": {"robustness": -1, "utility": 1, "compression": 1}},
            "three finite numbers ≥ 0 .*in field 'preference'",
        ),
        ({"sparsity": {"mlp": 0.1}}, "a field 'sparsity.block', found mlp"),
        ({"model": {"family": "llava"}}, "a field 'model.fingerprint'"),
        (
            {"model": {**asdict(make_shape((10, 12))), "neurons": ["ten", 12]}},
            r"'model.neurons\[0\]' to be an integer",
        ),
        ({"model": {**asdict(make_shape((10, 12))), "neurons": [2**30, 12]}}, "parameters must grow"),
    ],
)
def test_tampered_plan(tmp_path, change, complaint):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**_content(_plan()), **change}))
    with pytest.raises(PlanError, match=complaint) as caught:
        Plan.load(path)
    assert str(path) in str(caught.value)


def test_tampered_ledger(tmp_path):
    content = _content(_plan())
    content["sparsity"]["mlp"] = 0.99
    with pytest.raises(PlanError, match="sparsity"):
        Plan.from_json(json.dumps(content))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_tampered_rows_mask(index):
    content = _content(make_plan(make_shape((10,), hidden=6), "rows", (7, 4)))
    content["masks"][index] = base64.b64encode(bytes(2 if index < 2 else 1)).decode()
    with pytest.raises(PlanError, match="masks"):
        Plan.from_json(json.dumps(content))


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"3", b"not json", b"\xff\xfe\x00"])
def test_not_a_plan_file(tmp_path, data):
    path = tmp_path / "plan.json"
    path.write_bytes(data)
    with pytest.raises(PlanError, match=r"expected .*; write one with `hipp-prune query") as caught:
        Plan.load(path)
    assert str(path) in str(caught.value)


def test_no_plan_file(tmp_path):
    with pytest.raises(PlanError, match=r"there is no .*missing.json; write one with `hipp-prune query"):
        Plan.load(tmp_path / "missing.json")
