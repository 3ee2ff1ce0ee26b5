"""From a shallow model with wide MLPs to a deep one with narrow MLPs, so that every block gets its share of the work.

Trained at its full depth from the start, the model puts nearly all it knows into the first block: removing any
other block's MLP cost nothing. So it first learns with few blocks, whose neurons are then dealt out to more.
"""

from typing import Any

import torch
from torch import nn


@torch.no_grad()
def deal_out(shallow: Any, deep: Any) -> None:
    """Copies the weights of ``shallow`` into ``deep``, which has a multiple of its blocks and as many neurons in all.

    Each block becomes several in a row. The first does its attention; the others start with its queries, keys and
    values, and add nothing until they have learnt to. Its neurons, strongest first, are dealt out to all of them
    like cards. Everything else is copied as it is.
    """
    sources = shallow.model.language_model.layers
    targets = deep.model.language_model.layers
    parts = len(targets) // len(sources)
    rest = {
        name: weight for name, weight in shallow.state_dict().items() if ".language_model.layers." not in name
    }
    deep.load_state_dict(rest, strict=False)
    for index, source in enumerate(sources):
        order = source.mlp.down_proj.weight.norm(dim=0).argsort(descending=True)
        for part in range(parts):
            _deal(source, targets[index * parts + part], order[part::parts])
            if part > 0:
                targets[index * parts + part].self_attn.o_proj.weight.zero_()


def _deal(source: nn.Module, target: nn.Module, neurons: torch.Tensor) -> None:
    """Copies one block, of its neurons only those at the indices ``neurons``."""
    weights = source.state_dict()
    for name in ("mlp.gate_proj.weight", "mlp.up_proj.weight"):
        weights[name] = weights[name][neurons]
    weights["mlp.down_proj.weight"] = weights["mlp.down_proj.weight"][:, neurons]
    target.load_state_dict(weights)
