from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hipp_prune.calibration.measurement import Calibration, calibrate
from hipp_prune.calibration.reductions import TOKEN_REDUCTIONS
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.space import PlanSpace, UnitKind
from hipp_prune.pruning.importance import score_neurons, score_rows
from hipp_prune.search.policy.state import (
    UNIT_TYPES,
    UnitStates,
    describe_units,
    gini,
    standardise,
    with_error_curves,
)
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl
from tests.unit.questions.made import pope, scienceqa


def test_standardise():
    table = np.random.default_rng(0).normal([5, -3, 0], [1, 100, 1e-3], size=(9, 3))
    result = standardise(table)
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(result.std(axis=0), 1)
    np.testing.assert_allclose(result, (table - table.mean(axis=0)) / table.std(axis=0))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9, -7.3])
def test_a_descriptor_that_does_not_vary_is_zero(value):
    table = np.stack([np.full(7, value), np.arange(7.0)], axis=1)
    result = standardise(table)
    assert (result[:, 0] == 0).all()
    assert np.isfinite(result).all()
    assert (standardise(table[:1]) == 0).all()


def test_gini_of_known_distributions():
    assert gini(torch.ones(10)) == pytest.approx(0)
    assert gini(torch.tensor([0.0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(torch.tensor([1.0, 2, 3])) == pytest.approx(2 / 9)
    assert gini(torch.tensor([3.0, 1, 2]) * 100) == pytest.approx(2 / 9)
    assert gini(torch.zeros(5)) == 0
    assert gini(torch.arange(100_000.0)) == pytest.approx(1 / 3, abs=1e-4)


@dataclass(frozen=True)
class Measured:
    adapter: Adapter
    calibration: Calibration


@pytest.fixture(scope="module", params=["llava", "qwen2.5-vl"])
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("state")
    build: Callable[..., Path] = {"llava": tiny_llava, "qwen2.5-vl": tiny_qwen2_5_vl}[request.param]
    adapter = load_model(build(folder, blocks=3))
    tiny_image(1, (112, 56)).save(folder / "picture.png")
    questions = [
        pope(0, 0, image=folder / "picture.png", prompt="Is there a red cup in the image?"),
        pope(1, 1, image=folder / "picture.png", prompt="A tree?"),
        scienceqa(2, 1, prompt="Context: none."),
    ]
    return Measured(adapter, calibrate(adapter, questions, batch_size=3, taylor_questions=2))


def _describe(measured: Measured, unit: UnitKind, **options) -> tuple[PlanSpace, UnitStates]:
    adapter, calibration = measured.adapter, measured.calibration
    space = PlanSpace(shape=adapter.shape, unit=unit)
    if unit == "coupled":
        scores = score_neurons(adapter, calibration)
    else:
        rows = score_rows(adapter, calibration)
        scores = [part for gate, up, down in rows for part in ((gate + up) / 2, down)]
    return space, describe_units(adapter, calibration, scores, space, **options)


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_descriptors_of_a_model(measured, unit):
    space, states = _describe(measured, unit)
    assert states.values.shape == (space.num_units, len(states.names))
    assert space.num_units == (3 if unit == "coupled" else 6)
    assert np.isfinite(states.values).all()
    assert len(set(states.names)) == len(states.names)
    assert {f"visual_{tokens}" for tokens in TOKEN_REDUCTIONS} <= set(states.names)
    assert {f"type_{name}" for name in UNIT_TYPES} <= set(states.names)
    std = states.values.std(axis=0)
    assert (np.isclose(std, 1) | (std == 0)).all()


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_position_type_and_size(measured, unit):
    space, states = _describe(measured, unit)
    column = dict(zip(states.names, states.values.T, strict=True))
    per_block = space.num_units // 3
    assert (np.diff(column["position"][::per_block]) > 0).all()
    if unit == "coupled":  # blocks are alike
        assert all((column[f"type_{name}"] == 0).all() for name in UNIT_TYPES)
        assert (column["log_parameters"] == 0).all()
    else:
        assert (column["type_gate_up"] > 0).tolist() == [True, False] * 3
        np.testing.assert_allclose(column["type_down"], -column["type_gate_up"])
        assert (column["type_neurons"] == 0).all()
        assert (column["log_parameters"] > 0).tolist() == [True, False] * 3


def test_visual_columns_are_the_calibrated_sensitivity(measured):
    _, states = _describe(measured, "coupled")
    column = dict(zip(states.names, states.values.T, strict=True))
    for tokens in TOKEN_REDUCTIONS:
        sensitivity = measured.calibration.visual.per_block(tokens=tokens).numpy()
        assert sensitivity.std() > 0
        np.testing.assert_allclose(column[f"visual_{tokens}"], standardise(sensitivity[:, None])[:, 0])


def test_activation_columns_follow_the_image_weight(measured):
    columns = []
    for weight in (0.0, 1.0):
        _, states = _describe(measured, "coupled", image_weight=weight)
        columns.append(states.values[:, states.names.index("input_norm_mean")])
    assert np.abs(columns[0] - columns[1]).max() > 1e-3


def test_down_rows_are_described_by_their_own_input(measured):
    _, states = _describe(measured, "rows")
    column = states.values[:, states.names.index("input_norm_mean")]
    calibration = measured.calibration
    raw = [
        float(m.rms(0.5).mean()) for p in zip(calibration.inputs, calibration.neurons, strict=True) for m in p
    ]
    np.testing.assert_allclose(column, standardise(np.array(raw)[:, None])[:, 0])


def _visual(measured: Measured, **options) -> np.ndarray:
    _, states = _describe(measured, "coupled", **options)
    return states.values[:, [states.names.index(f"visual_{tokens}") for tokens in TOKEN_REDUCTIONS]]


def test_visual_sensitivity_switched_off_leaves_columns_of_zeros(measured):
    assert (_visual(measured, visual="off") == 0).all()


def test_shuffled_visual_sensitivity_describes_other_blocks(measured):
    own, shuffled = _visual(measured), _visual(measured, visual="shuffled", seed=1)
    assert not np.allclose(own, shuffled)
    rows = sorted(map(tuple, own.round(9).tolist()))  # whole blocks change places
    assert sorted(map(tuple, shuffled.round(9).tolist())) == rows
    np.testing.assert_array_equal(shuffled, _visual(measured, visual="shuffled", seed=1))


def test_heads_are_aggregated_as_told(measured):
    mean, largest, total = (_visual(measured, heads=heads) for heads in ("mean", "max", "sum"))
    assert np.abs(mean - largest).max() > 1e-3
    np.testing.assert_allclose(mean, total)  # a common factor is standardised away


def test_error_curves_describe_blocks_by_what_is_lost_at_three_widths() -> None:
    states = UnitStates(names=("position",), values=np.array([[-1.0], [1.0]]))
    falling = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])
    flat = torch.tensor([100.0, 100.0, 100.0, 1.0, 0.0])
    found = with_error_curves(states, [falling, flat])
    assert found.names == ("position", "log_error_75%", "log_error_50%", "log_error_25%")
    assert (found.values[:, 0] == states.values[:, 0]).all()
    np.testing.assert_allclose(found.values[:, 1:], [[1, -1, -1], [-1, 1, 1]])
    louder = with_error_curves(states, [1000 * falling, flat])
    np.testing.assert_allclose(louder.values, found.values)


def test_without_error_curves_there_are_no_such_columns_and_silent_blocks_have_finite_ones() -> None:
    states = UnitStates(names=("position",), values=np.array([[-1.0], [1.0]]))
    assert with_error_curves(states, []) is states
    silent = with_error_curves(states, [torch.zeros(5), torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])])
    assert np.isfinite(silent.values).all()
