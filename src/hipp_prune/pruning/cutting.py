"""The neurons that a plan removes leave a model in memory, as slicing makes them leave a checkpoint's files (Eq. 9).

The smaller model is a copy of the dense one's modules, but not of its weights: all parameters are shared except those
of the MLPs that shrink, whose remaining rows and columns are copied: it takes the memory of these beside the dense
model. Where blocks end up unequally wide, the model has our subclass of its stock class
(``models.uneven``), so that ``save_pretrained`` writes the code which opens it again.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hipp_prune.models.described import width_followers
from hipp_prune.models.pruned_settings import auto_map, needs_code, pruned_settings
from hipp_prune.models.structure import Block, find_blocks
from hipp_prune.models.uneven import uneven
from hipp_prune.pruning.compensated import DownWeight
from hipp_prune.pruning.masking import Mask


def cut_neurons(
    model: PreTrainedModel,
    masks: Sequence[Mask],
    *,
    down_weights: DownWeight | None = None,
    down_biases: Sequence[Tensor] | None = None,
    gates_ups: Sequence[tuple[Tensor, Tensor]] | None = None,
    in_place: bool = False,
) -> PreTrainedModel:
    """The model without the neurons that the masks deny.

    Args:
        model: the dense model, its neurons in original order.
        masks: L keep-masks [neurons].
        down_weights: what the down projections hold instead of their columns, where the plan is compensated.
        down_biases: what their biases are then, [hidden] each.
        gates_ups: what gate and up hold instead of their rows, [kept, hidden], where they were reconstructed.
        in_place: whether the model itself is cut; at most one projection is twice in memory then.

    Raises:
        UnsupportedModelError: if transformers has no class to open uneven blocks of this family with.
    """
    smaller = model if in_place else share_weights(model)
    blocks = find_blocks(smaller)
    assert len(masks) == len(blocks), f"{len(masks)} masks for {len(blocks)} blocks"
    _describe(smaller, [int(mask.sum()) for mask in masks], down_bias=down_biases is not None)
    for index, (block, mask) in enumerate(zip(blocks, masks, strict=True)):
        down = None if down_weights is None else down_weights(index, block.down.weight.detach().cpu())
        _cut(block, torch.from_numpy(mask), down, None if gates_ups is None else gates_ups[index])
        if down_biases is not None:
            block.down.bias = _parameter(down_biases[index], block.down.weight)
    return smaller


def share_weights(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of a model's modules and settings that holds the very same parameters, and goes by no name."""
    known = {id(parameter): parameter for parameter in model.parameters()}
    copied: PreTrainedModel = deepcopy(model, known)
    copied.name_or_path = copied.config._name_or_path = ""
    return copied


def _describe(model: PreTrainedModel, widths: Sequence[int], *, down_bias: bool) -> None:
    """Makes the configuration say what the blocks are going to be, and the class one that opens such blocks."""
    text = model.config.get_text_config(decoder=True)
    before = text.to_dict()
    changed = pruned_settings(before, widths, down_bias=down_bias)
    if changed["intermediate_size"] != before["intermediate_size"] and width_followers(
        model.config, type(model)
    ):
        changed = pruned_settings(before, widths, down_bias=down_bias, one_width=False)
    code = auto_map(model.config.model_type) if needs_code(changed) else None
    for name, value in changed.items():
        if value is not None or hasattr(text, name):
            setattr(text, name, value)
    if code is not None:
        model.config.auto_map = code
        stock: Any = type(model)
        model.__class__ = uneven(stock)
    elif hasattr(model.config, "auto_map"):
        del model.config.auto_map


@torch.no_grad()
def _cut(block: Block, keep: Tensor, down: Tensor | None, gate_up: tuple[Tensor, Tensor] | None) -> None:
    """Replaces the parameters of one MLP by those of the neurons that stay, [kept, hidden] and [hidden, kept]."""
    width = int(keep.sum())
    kept = keep.nonzero()[:, 0].to(block.gate.weight.device)
    for projection, rows in zip((block.gate, block.up), gate_up or (None, None), strict=True):
        weight = projection.weight
        projection.weight = _parameter(weight[kept] if rows is None else rows, weight)
        if projection.bias is not None:
            projection.bias = _parameter(projection.bias[kept], projection.bias)
        projection.out_features = width
    weight = block.down.weight
    block.down.weight = _parameter(weight[:, kept] if down is None else down, weight)
    block.down.in_features = width
    mlp: Any = block.mlp
    if hasattr(mlp, "intermediate_size"):
        mlp.intermediate_size = width


def _parameter(values: Tensor, before: Tensor) -> nn.Parameter:
    """A parameter with these values, otherwise like the one before."""
    values = values.to(device=before.device, dtype=before.dtype).contiguous()
    return nn.Parameter(values, requires_grad=before.requires_grad)
