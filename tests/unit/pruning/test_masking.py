"""Eq. 9 as written: which weights are zero, and that nothing stays behind."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from transformers.models.gemma3n.configuration_gemma3n import Gemma3nTextConfig
from transformers.models.gemma3n.modeling_gemma3n import Gemma3nTextMLP

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.plans.space import UnitKind
from hipp_prune.pruning.masking import apply_masks
from hipp_prune.pruning.prefix_views import check_zero_is_silent
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import random_masks


def counts(adapter: Adapter, unit: UnitKind) -> list[int]:
    if unit == "coupled":
        return [n // 2 + block for block, n in enumerate(adapter.shape.neurons)]
    return [count for n in adapter.shape.neurons for count in (n - 7, adapter.shape.hidden_size - 3)]


def is_zero(tensor: torch.Tensor | None, keep: np.ndarray) -> bool:
    """Whether exactly the slices along axis 0 that ``keep`` denies are zero."""
    if tensor is None:
        return True
    zero = (tensor.reshape(len(tensor), -1) == 0).all(1).numpy()
    return bool((zero == ~keep).all())


def test_coupled_masks_rows_columns_and_biases(adapter: Adapter) -> None:
    masks = random_masks(adapter, "coupled", counts(adapter, "coupled"))
    biases = [None if block.down.bias is None else block.down.bias.clone() for block in adapter.blocks]
    with apply_masks(adapter, masks):
        for block, mask, bias in zip(adapter.blocks, masks, biases, strict=True):
            for rows in (
                block.gate.weight,
                block.up.weight,
                block.down.weight.T,
                block.gate.bias,
                block.up.bias,
            ):
                assert is_zero(rows, mask)
            assert bias is None or torch.equal(block.down.bias, bias)


def test_rows_masks_each_projection_apart(adapter: Adapter) -> None:
    masks = random_masks(adapter, "rows", counts(adapter, "rows"))
    with apply_masks(adapter, masks):
        for index, block in enumerate(adapter.blocks):
            for place, projection in enumerate((block.gate, block.up, block.down)):
                assert is_zero(projection.weight, masks[3 * index + place])
                assert is_zero(projection.bias, masks[3 * index + place])


@pytest.mark.parametrize("unit", ["coupled", "rows"])
def test_weights_come_back_bit_by_bit(adapter: Adapter, unit: UnitKind) -> None:
    before = [(p, p.data_ptr(), p.clone()) for p in adapter.model.parameters()]
    masks = random_masks(adapter, unit, counts(adapter, unit))
    with pytest.raises(KeyError), apply_masks(adapter, masks):
        raise KeyError
    for parameter, (original, pointer, values) in zip(adapter.model.parameters(), before, strict=True):
        assert parameter is original
        assert parameter.data_ptr() == pointer
        assert torch.equal(parameter, values)


def test_a_wrong_number_of_masks_is_our_mistake(adapter: Adapter) -> None:
    with pytest.raises(AssertionError, match="masks for"), apply_masks(adapter, []):
        pass


def test_neurons_that_are_compared_with_one_another_are_taken_away() -> None:
    """Gemma 3n's first blocks: what a neuron says depends on all gates, so that zeros would still count."""
    text = {
        "hidden_size": 16,
        "intermediate_size": [24],
        "num_hidden_layers": 1,
        "layer_types": ["full_attention"],
    }
    config = Gemma3nTextConfig(**text, activation_sparsity_pattern=[0.5], num_kv_shared_layers=0)
    mlp, keep = Gemma3nTextMLP(config), np.arange(24) % 3 > 0
    block = Block(
        mlp=mlp, gate=mlp.gate_proj, up=mlp.up_proj, down=mlp.down_proj, attention=None, name="layers.0"
    )
    config.intermediate_size = [int(keep.sum())]
    alone, states = Gemma3nTextMLP(config), torch.randn(5, 16)
    rows = torch.from_numpy(keep)
    weights = {"gate_proj.weight": mlp.gate_proj.weight[rows], "up_proj.weight": mlp.up_proj.weight[rows]}
    alone.load_state_dict(weights | {"down_proj.weight": mlp.down_proj.weight[:, rows]})
    before = mlp(states)
    with apply_masks(cast("Adapter", SimpleNamespace(blocks=(block,))), [keep]):
        masked = mlp(states)
    assert_agree(masked, alone(states))
    assert not torch.allclose(masked, before)
    assert torch.equal(mlp(states), before)
    with pytest.raises(UnsupportedModelError, match="still be among those"):
        check_zero_is_silent(block)
