import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.objectives.band import StabilityBand, calibrate_band
from hipp_prune.objectives.stability import (
    chained_log_flow,
    coupled_log_ratio,
    inflow,
    neuron_flow,
    rows_log_ratio,
    synflow_table,
)

HIDDEN = 5


def _blocks(neurons: tuple[int, ...] = (7, 4), seed: int = 0, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [
        tuple(torch.randn(*shape, generator=generator).to(dtype) for shape in ((n, HIDDEN), (n, HIDDEN), (HIDDEN, n)))
        for n in neurons
    ]  # fmt: skip


def _random_masks(neurons: tuple[int, ...], seed: int, keep: float = 0.7) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random(width) < keep for n in neurons for width in (n, n, HIDDEN)]


def _literal_block_flow(gate, up, down, keep_gate, keep_up, keep_down) -> float:
    """1ᵀ |M_down ⊙ W_down| diag((|M_gate ⊙ W_gate| 1 ⊙ |M_up ⊙ W_up| 1)^½) 1, matrix by matrix."""
    gate, up, down = (
        (weight.double() * torch.from_numpy(mask).double()[:, None]).abs()
        for weight, mask in ((gate, keep_gate), (up, keep_up), (down, keep_down))
    )
    one = torch.ones(HIDDEN, dtype=torch.float64)
    flow = torch.diag(((gate @ one) * (up @ one)).sqrt())
    return float(one @ down @ flow @ torch.ones(len(gate), dtype=torch.float64))


def test_table_is_the_direct_masked_computation():
    neurons = (7, 4)
    blocks = _blocks(neurons)
    tables = synflow_table([neuron_flow(*block) for block in blocks])
    assert [len(table) for table in tables] == [8, 5]
    plans = np.array(list(itertools.product(range(1, 8), range(1, 5))))
    expected = []
    for plan in plans:
        total = 0.0
        for (gate, up, down), n, count in zip(blocks, neurons, plan, strict=True):
            keep, whole = np.arange(n) < count, np.ones(n, bool)
            outputs = np.ones(HIDDEN, bool)
            total += np.log(_literal_block_flow(gate, up, down, keep, keep, outputs))
            total -= np.log(_literal_block_flow(gate, up, down, whole, whole, outputs))
        expected.append(total)
    np.testing.assert_allclose(coupled_log_ratio(tables, plans), expected, atol=1e-9)


@given(st.lists(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8), min_size=1, max_size=4))
def test_ratio_is_not_positive_zero_when_dense_and_monotone(flows):
    tables = synflow_table([np.array(flow) for flow in flows])
    for table, flow in zip(tables, flows, strict=True):
        assert table[0] == -np.inf
        assert (np.diff(table[1:]) >= 0).all()
        assert table[-1] == 0
        assert len(table) == len(flow) + 1
    dense = np.array([[len(flow) for flow in flows]])
    assert coupled_log_ratio(tables, dense).tolist() == [0.0]
    assert coupled_log_ratio(tables, np.maximum(dense - 1, 1))[0] <= 0


def test_half_precision_weights_are_summed_in_double():
    blocks = _blocks((4000,), dtype=torch.float16)
    flow = neuron_flow(*blocks[0])
    gate, up, down = (weight.double().abs() for weight in blocks[0])
    np.testing.assert_allclose(flow, ((gate.sum(1) * up.sum(1)).sqrt() * down.sum(0)).numpy(), rtol=1e-12)
    assert inflow(*blocks[0][:2]).dtype == torch.float64


@pytest.mark.parametrize("seed", range(5))
def test_rows_ratio_is_the_dense_literal_product(seed):
    neurons = (7, 4)
    blocks, masks = _blocks(neurons, seed), _random_masks(neurons, seed)
    expected = 0.0
    for index, block in enumerate(blocks):
        whole = [np.ones(len(weight), bool) for weight in block]
        kept = _literal_block_flow(*block, *masks[3 * index : 3 * index + 3])
        expected += np.log(kept / _literal_block_flow(*block, *whole))
    assert rows_log_ratio(blocks, masks) == pytest.approx(expected, abs=1e-9)
    assert expected < 0


def test_rows_ratio_of_the_dense_model_and_of_a_dead_block():
    blocks = _blocks((3,))
    whole = [np.ones(3, bool), np.ones(3, bool), np.ones(HIDDEN, bool)]
    assert rows_log_ratio(blocks, whole) == pytest.approx(0, abs=1e-12)
    disjoint = [np.array([True, False, False]), np.array([False, True, True]), whole[2]]
    assert rows_log_ratio(blocks, disjoint) == -np.inf


def _literal_chain(blocks, masks=None) -> float:
    vector = torch.ones(HIDDEN, dtype=torch.float64)
    for index, block in enumerate(blocks):
        weights = [weight.double().abs() for weight in block]
        if masks is not None:
            weights = [
                weight * torch.from_numpy(mask).double()[:, None]
                for weight, mask in zip(weights, masks[3 * index : 3 * index + 3], strict=True)
            ]
        gate, up, down = weights
        vector = down @ ((gate @ vector) * (up @ vector)).sqrt()
    return float(vector.sum().log())


@pytest.mark.parametrize("seed", range(5))
def test_chain_is_the_literal_product_of_all_blocks(seed):
    neurons = (7, 4, 6)
    blocks, masks = _blocks(neurons, seed), _random_masks(neurons, seed, keep=0.8)
    assert chained_log_flow(blocks) == pytest.approx(_literal_chain(blocks), abs=1e-9)
    assert chained_log_flow(blocks, masks) == pytest.approx(_literal_chain(blocks, masks), abs=1e-9)
    assert chained_log_flow(blocks, masks) < chained_log_flow(blocks)


def test_chain_does_not_overflow():
    blocks = [tuple(weight * 1e30 for weight in block) for block in _blocks((7,) * 20)]
    plain = _blocks((7,) * 20)
    assert chained_log_flow(blocks) - chained_log_flow(plain) == pytest.approx(20 * 2 * 30 * np.log(10))


def test_chain_of_a_dead_block():
    masks = [np.zeros(3, bool), np.ones(3, bool), np.ones(HIDDEN, bool)]
    assert chained_log_flow(_blocks((3,)), masks) == -np.inf


def _warm_up(seed: int = 0, count: int = 400, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """ℓ that falls with s, steeper and steeper, and scatters around that."""
    rng = np.random.default_rng(seed)
    sparsity = rng.uniform(0.1, 0.5, size=count)
    return -4 * sparsity / (1 - sparsity) + noise * rng.normal(size=count), sparsity


@pytest.mark.parametrize("kind", ["conditional", "paper"])
@pytest.mark.parametrize("count", [20, 400, 512])
def test_gate_spares_95_percent_of_warm_up_plans(kind, count):
    log_ratio, sparsity = _warm_up(count=count)
    band = calibrate_band(log_ratio, sparsity, kind=kind)
    gate = band.gate(log_ratio, sparsity)
    assert (gate >= 0.9 - 1e-12).mean() >= 0.95 - 1 / count
    assert (gate == 1).mean() >= 0.9 - 2 / count
    assert (gate > 0).all()
    assert (gate <= 1).all()


@pytest.mark.parametrize("kind", ["conditional", "paper"])
def test_gate_is_one_exactly_inside_the_band(kind):
    log_ratio, sparsity = _warm_up()
    band = calibrate_band(log_ratio, sparsity, kind=kind)
    residual = band.residual(log_ratio, sparsity)
    inside = (residual >= band.b_lo) & (residual <= band.b_hi)
    gate = band.gate(log_ratio, sparsity)
    assert (gate[inside] == 1).all()
    assert (gate[~inside] < 1).all()


def test_gate_falls_with_the_distance_from_the_band():
    log_ratio, sparsity = _warm_up()
    band = calibrate_band(log_ratio, sparsity)
    middle = np.full(20, 0.3)
    usual = float(np.interp(0.3, band.knots_s, band.knots_l))
    below = band.gate(usual + band.b_lo - np.linspace(0.01, 5, 20), middle)
    above = band.gate(usual + band.b_hi + np.linspace(0.01, 5, 20), middle)
    assert (np.diff(below) < 0).all()
    assert (np.diff(above) < 0).all()
    assert below[-1] < 0.01


def test_loss_by_hand():
    band = StabilityBand(knots_s=(), knots_l=(), b_lo=-2.0, b_hi=-1.0, beta=0.5, gamma=3.0)
    log_ratio = np.array([-4.0, -1.5, -0.5])
    np.testing.assert_allclose(band.loss(log_ratio, np.zeros(3)), [6.0, 0.0, 1.5])
    np.testing.assert_allclose(band.gate(log_ratio, np.zeros(3)), np.exp([-3.0, 0.0, -0.75]))
    np.testing.assert_allclose(band.loss(log_ratio, np.zeros(3), widening=0.5), [4.5, 0.0, 0.0])


def test_conditional_band_is_no_hidden_preference_for_the_middle_of_the_budget():
    log_ratio, sparsity = _warm_up(count=2000)
    conditional, paper = (calibrate_band(log_ratio, sparsity, kind=kind) for kind in ("conditional", "paper"))
    assert abs(np.corrcoef(conditional.residual(log_ratio, sparsity), sparsity)[0, 1]) < 0.05
    ends = (sparsity < 0.12) | (sparsity > 0.48)
    middle = (sparsity > 0.25) & (sparsity < 0.35)

    def punished(band: StabilityBand, which: np.ndarray) -> float:
        return float((band.gate(log_ratio, sparsity) < 1)[which].mean())

    assert punished(paper, ends) > 0.4
    assert punished(paper, middle) == 0
    assert punished(conditional, ends) < 0.2
    assert punished(conditional, middle) > 0.03


def test_widening_only_spares_more():
    log_ratio, sparsity = _warm_up(noise=1.0)
    band = calibrate_band(log_ratio, sparsity)
    gates = [band.gate(log_ratio, sparsity, widening=w) for w in (0.0, 0.1, 1.0)]
    assert (gates[0] <= gates[1]).all()
    assert (gates[1] <= gates[2]).all()
    assert (gates[0] < gates[1]).any()


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-20, 0)), min_size=5, max_size=60),
    st.sampled_from(["conditional", "paper"]),
)
def test_any_warm_up_makes_a_sound_band(points, kind):
    sparsity, log_ratio = np.array(points).T
    band = calibrate_band(log_ratio, sparsity, kind=kind)
    assert (np.diff(band.knots_l) < 0).all()
    assert (np.diff(band.knots_s) >= 0).all()
    assert band.b_lo <= band.b_hi
    assert band.beta > 0
    gate = band.gate(log_ratio, sparsity)
    assert ((gate >= 0) & (gate <= 1)).all()
    assert (gate[(band.loss(log_ratio, sparsity) == 0)] == 1).all()


def test_isotonic_fit_is_the_least_squares_one():
    sparsity = np.array([0.1, 0.2, 0.3, 0.4])
    band = calibrate_band(np.array([-1.0, -3.0, -2.0, -4.0]), sparsity)
    np.testing.assert_allclose(band.knots_s, [0.1, 0.25, 0.4])
    np.testing.assert_allclose(band.knots_l, [-1.0, -2.5, -4.0])


def test_warm_up_plans_with_a_dead_block_do_not_spoil_the_band():
    """``rows`` masks may leave a block no neuron at all: ℓ = −∞."""
    log_ratio, sparsity = _warm_up()
    log_ratio[np.argsort(-sparsity)[:40]] = -np.inf
    for kind in ("conditional", "paper"):
        band = calibrate_band(log_ratio, sparsity, kind=kind)
        gate = band.gate(log_ratio, sparsity)
        assert np.isfinite(gate).all(), kind
        assert (gate[log_ratio == -np.inf] <= gate[np.isfinite(log_ratio)].min()).all(), kind
        assert (gate[np.isfinite(log_ratio)] == 1).mean() > 0.8, kind
