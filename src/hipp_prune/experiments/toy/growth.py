"""From a shallow model with wide MLPs to a deep one with narrow MLPs, in which every task has blocks of its own.

Trained at full depth from the start, or on all tasks at once, the model puts nearly all it knows into the first blocks:
removing any other block's MLP cost nothing, and no plan could favour one task over another (``docs/log.md``). So the
neurons of each block are split into shares, one for each task, and a task's gradient reaches its own share alone
(gradient routing, Cloud et al. 2024, arXiv:2410.04332); attention learns from all. The shares then become blocks.
"""

from typing import Any

import torch
from torch import Tensor, nn


def neuron_shares(blocks: int, neurons: int, parts: int, *, dealt: bool) -> list[Tensor]:
    """The share each neuron belongs to, int64 [neurons] for each block.

    Args:
        blocks: of the model.
        neurons: of a block.
        parts: shares in all.
        dealt: whether every block is one share already, in turns, or still holds a run of neurons of each.
    """
    if dealt:
        return [torch.full((neurons,), block % parts) for block in range(blocks)]
    return [torch.arange(neurons) * parts // neurons] * blocks


def confine_gradients(model: Any, shares: list[Tensor], share: int) -> None:
    """Clears the gradients of all MLP neurons that are not of this share."""
    for block, owners in zip(model.model.language_model.layers, shares, strict=True):
        own = (owners == share).float()
        for name, along in (("gate_proj", own[:, None]), ("up_proj", own[:, None]), ("down_proj", own)):
            weight = getattr(block.mlp, name).weight
            weight.grad = weight.grad * along if own.any() else None


@torch.no_grad()
def deal_out(shallow: Any, deep: Any) -> None:
    """Copies the weights of ``shallow`` into ``deep``, which has a multiple of its blocks and as many neurons in all.

    Each block becomes several in a row, one a share. The first does its attention; the others start with its queries,
    keys and values, and add nothing until they have learnt to. Everything else is copied as it is.
    """
    sources = shallow.model.language_model.layers
    targets = deep.model.language_model.layers
    parts = len(targets) // len(sources)
    rest = {
        name: weight for name, weight in shallow.state_dict().items() if ".language_model.layers." not in name
    }
    deep.load_state_dict(rest, strict=False)
    for index, source in enumerate(sources):
        (owners,) = neuron_shares(1, source.mlp.down_proj.weight.shape[1], parts, dealt=False)
        for part in range(parts):
            _deal(source, targets[index * parts + part], (owners == part).nonzero().flatten())
            if part > 0:
                targets[index * parts + part].self_attn.o_proj.weight.zero_()


def _deal(source: nn.Module, target: nn.Module, neurons: Tensor) -> None:
    """Copies one block, of its neurons only those at the indices ``neurons``."""
    weights = source.state_dict()
    for name in ("mlp.gate_proj.weight", "mlp.up_proj.weight"):
        weights[name] = weights[name][neurons]
    weights["mlp.down_proj.weight"] = weights["mlp.down_proj.weight"][:, neurons]
    target.load_state_dict(weights)
