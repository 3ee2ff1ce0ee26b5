"""Prefix views of a sorted model are the masked model, cost nothing, and leave no trace."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.prefixes import order_ranks
from hipp_prune.pruning.masking import apply_masks
from hipp_prune.pruning.prefix_views import SortedNeurons, SortedRows, sort_neurons, sort_rows
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import logits, stock_inputs

Model = SortedNeurons | SortedRows


def random_scores(adapter: Adapter, seed: int = 0) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Random row scores with ties: a few distinct values only."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(n, n, adapter.shape.hidden_size) for n in adapter.shape.neurons]
    scores = [
        [torch.randint(0, 9, (size,), generator=generator).double() for size in block] for block in sizes
    ]
    return [(gate, up, down) for gate, up, down in scores]


def sort(adapter: Adapter, unit: str, seed: int = 0) -> Model:
    scores = random_scores(adapter, seed)
    return (
        sort_rows(adapter, scores)
        if unit == "rows"
        else sort_neurons(adapter, [gate for gate, _, _ in scores])
    )


def counts(adapter: Adapter, unit: str, fraction: float) -> list[int]:
    widths = [n for n in adapter.shape.neurons]
    if unit == "rows":
        widths = [width for n in widths for width in (n, adapter.shape.hidden_size)]
    return [max(1, int(width * fraction) - index) for index, width in enumerate(widths)]


@pytest.fixture(scope="module")
def pairs(
    folders: dict[str, Path],
) -> dict[tuple[str, str], tuple[Adapter, Adapter, Model, dict[str, Tensor]]]:
    """For each family and unit: the model as it is, a copy that is sorted, and an input."""
    made = {}
    for family, folder in folders.items():
        for unit in ("coupled", "rows"):
            whole, other = load_model(folder), load_model(folder)
            inputs = stock_inputs(whole)
            made[family, unit] = (whole, other, sort(other, unit), inputs)
    return made


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_sorting_preserves_the_function(pairs, family: str, unit: str) -> None:  # type: ignore[no-untyped-def]
    whole, other, _, inputs = pairs[family, unit]
    assert_agree(logits(other.model, inputs), logits(whole.model, inputs))
    assert not torch.equal(other.blocks[0].gate.weight, whole.blocks[0].gate.weight)


@pytest.mark.parametrize("unit", ["coupled", "rows"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_sliced_equals_masked(pairs, family: str, unit: str, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    whole, _, sorted_model, inputs = pairs[family, unit]
    other = pairs[family, unit][1]
    widths = counts(whole, unit, 1.0)
    kept = [data.draw(st.integers(0, width + index)) for index, width in enumerate(widths)]
    with sorted_model.apply(kept):
        sliced = logits(other.model, inputs)
    with apply_masks(whole, sorted_model.keep_masks(kept)):
        masked = logits(whole.model, inputs)
    assert_agree(sliced, masked)


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_masking_changes_the_output(pairs, family: str, unit: str) -> None:  # type: ignore[no-untyped-def]
    whole, _, sorted_model, inputs = pairs[family, unit]
    dense = logits(whole.model, inputs)
    with apply_masks(whole, sorted_model.keep_masks(counts(whole, unit, 0.5))):
        assert (logits(whole.model, inputs) - dense).abs().max() > 1e-2


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_apply_copies_no_weight_and_leaves_no_trace(adapter: Adapter, unit: str) -> None:
    sorted_model = sort(adapter, unit)
    before = [(name, p, p.data_ptr(), p.shape, p.clone()) for name, p in adapter.model.named_parameters()]
    kept = counts(adapter, unit, 0.5)
    with sorted_model.apply(kept):
        block = adapter.blocks[0]
        assert block.gate.weight.shape[0] == block.down.weight.shape[1] < adapter.shape.neurons[0]
        assert [p.data_ptr() for p in adapter.model.parameters()] == [
            pointer for _, _, pointer, _, _ in before
        ]
    for name, parameter, pointer, shape, values in before:
        assert adapter.model.get_parameter(name) is parameter
        assert (parameter.data_ptr(), parameter.shape) == (pointer, shape)
        assert torch.equal(parameter, values)
    assert not any(block.down._forward_hooks for block in adapter.blocks)


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_apply_is_undone_on_exceptions(adapter: Adapter, unit: str) -> None:
    inputs = stock_inputs(adapter)
    sorted_model = sort(adapter, unit)
    before = logits(adapter.model, inputs)
    with pytest.raises(KeyError), sorted_model.apply(counts(adapter, unit, 0.3)):
        raise KeyError
    assert torch.equal(logits(adapter.model, inputs), before)
    assert not any(block.down._forward_hooks for block in adapter.blocks)


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_nested_plans_unwind_in_order(adapter: Adapter, unit: str) -> None:
    inputs = stock_inputs(adapter)
    sorted_model = sort(adapter, unit)
    with sorted_model.apply(counts(adapter, unit, 0.8)):
        outer = logits(adapter.model, inputs)
        with sorted_model.apply(counts(adapter, unit, 0.3)):
            assert not torch.equal(logits(adapter.model, inputs), outer)
        assert torch.equal(logits(adapter.model, inputs), outer)


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_applying_takes_far_less_than_a_millisecond(adapter: Adapter, unit: str) -> None:
    sorted_model = sort(adapter, unit)
    kept = counts(adapter, unit, 0.5)

    def seconds() -> Iterator[float]:
        for _ in range(50):
            start = time.perf_counter()
            with sorted_model.apply(kept):
                pass
            yield time.perf_counter() - start

    assert min(seconds()) < 0.5e-3


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_restore_brings_the_original_order_back(adapter: Adapter, unit: str) -> None:
    before = {name: p.clone() for name, p in adapter.model.named_parameters()}
    sorted_model = sort(adapter, unit)
    with pytest.raises(AssertionError, match="sorted already"):
        sort(adapter, unit)
    sorted_model.restore()
    assert all(torch.equal(p, before[name]) for name, p in adapter.model.named_parameters())
    with pytest.raises(AssertionError, match="original order"):
        sorted_model.restore()


def test_ties_keep_their_order(adapter: Adapter) -> None:
    scores = [torch.ones(n, dtype=torch.float64) for n in adapter.shape.neurons]
    sorted_model = sort_neurons(adapter, scores)
    assert [list(order) for order in sorted_model.orders] == [list(range(n)) for n in adapter.shape.neurons]
    masks = sorted_model.keep_masks([5, 7])
    assert [list(np.flatnonzero(mask)) for mask in masks] == [list(range(5)), list(range(7))]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30), st.data())
def test_survivors_of_rows_are_a_prefix(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    from hipp_prune.pruning.prefix_views import _order

    gate, up = (
        order_ranks(_order(torch.tensor(column, dtype=torch.float64))) for column in zip(*rows, strict=True)
    )
    kept = data.draw(st.integers(0, len(rows)))
    survivors = (gate < kept) & (up < kept)
    order = np.argsort(np.maximum(gate, up), kind="stable")
    assert survivors.sum() >= 2 * kept - len(rows)
    assert survivors[order].tolist() == sorted(survivors.tolist(), reverse=True)


def test_rows_refuse_an_activation_that_is_not_silent_at_zero(adapter: Adapter) -> None:
    adapter.blocks[0].mlp.act_fn = torch.nn.Sigmoid()
    with pytest.raises(UnsupportedModelError, match=r"act\(0\) = 0, which Sigmoid breaks"):
        sort(adapter, "rows")
