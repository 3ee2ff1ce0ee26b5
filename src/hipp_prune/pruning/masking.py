"""Eq. 9, literally: Ŵ = M ⊙ W, applied to a model and undone. Slow and obvious; slicing must agree with it.

Masks are keep-masks (True stays) in the model's *original* neuron order, as ``Plan.keep_masks`` returns them:
one a block for ``coupled``, three a block (gate, up, down rows) for ``rows``.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.models.structure import compares_neurons

Mask = NDArray[np.bool_]


@contextmanager
def apply_masks(adapter: Adapter, masks: Sequence[Mask]) -> Iterator[None]:
    """Masks the model inside the context; leaving it, on any path, brings every weight back bit by bit.

    A ``coupled`` neuron loses its gate row, up row and down column, and the gate and up biases of those rows;
    a ``rows`` row loses its weights and its bias. Each masked projection is a masked copy while the context
    lasts; the weights themselves are never written to. Where a block compares its neurons with one another
    (``compares_neurons``), those of ``coupled`` are not zeros but gone.

    Args:
        adapter: the model, its neurons in original order (not while ``slicing`` has them sorted).
        masks: L masks [neurons] (``coupled``) or 3 L masks, gate [neurons], up [neurons], down [hidden] of
            each block (``rows``).
    """
    blocks = adapter.blocks
    assert len(masks) in (len(blocks), 3 * len(blocks)), f"{len(masks)} masks for {len(blocks)} blocks"
    with ExitStack() as undo:
        for index, block in enumerate(blocks):
            if len(masks) == len(blocks):
                _mask_neurons(undo, block, masks[index])
            else:
                _mask_rows(undo, block, masks[3 * index : 3 * index + 3])
        yield


def _mask_neurons(undo: ExitStack, block: Block, keep: Mask) -> None:
    if compares_neurons(block):
        remove_neurons(undo, block, keep)
        return
    rows = _tensor(keep, block.gate)
    for projection in (block.gate, block.up):
        _mask_projection(undo, projection, rows)
    _swap(undo, block.down.weight, block.down.weight.detach().masked_fill(~rows, 0))


def remove_neurons(undo: ExitStack, block: Block, keep: Mask) -> None:
    """Takes neurons away until ``undo`` closes, where zeros would be compared with those that stay."""
    rows = _tensor(keep, block.gate)
    for parameter in (block.gate.weight, block.up.weight, block.gate.bias, block.up.bias):
        if parameter is not None:
            _swap(undo, parameter, parameter.detach()[rows])
    _swap(undo, block.down.weight, block.down.weight.detach()[:, rows])


def _mask_rows(undo: ExitStack, block: Block, keeps: Sequence[Mask]) -> None:
    for projection, keep in zip((block.gate, block.up, block.down), keeps, strict=True):
        _mask_projection(undo, projection, _tensor(keep, projection))


def _mask_projection(undo: ExitStack, projection: nn.Linear, rows: Tensor) -> None:
    _swap(undo, projection.weight, projection.weight.detach().masked_fill(~rows[:, None], 0))
    if projection.bias is not None:
        _swap(undo, projection.bias, projection.bias.detach().masked_fill(~rows, 0))


def _swap(undo: ExitStack, parameter: Tensor, masked: Tensor) -> None:
    """Gives ``parameter`` other values until ``undo`` closes; it stays the same object."""
    undo.callback(setattr, parameter, "data", parameter.data)
    parameter.data = masked


def _tensor(keep: Mask, projection: nn.Linear) -> Tensor:
    return torch.as_tensor(keep, dtype=torch.bool, device=projection.weight.device)
