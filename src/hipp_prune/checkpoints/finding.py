"""Where a loaded model's tensors lie in its checkpoint: transformers renames what it loads."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hipp_prune.checkpoints.shards import FLOATS, Place, Shard, read_tensor
from hipp_prune.errors import CheckpointError


def find_tensors(shards: Sequence[Shard], tensors: Mapping[str, Tensor]) -> dict[str, Place]:
    """Where a checkpoint holds a loaded model's tensors, whose names transformers may have changed.

    Of the tensors of the same shape those are compared that share the longest end of their name; content decides.

    Args:
        shards: of the checkpoint.
        tensors: the model's, by name, unchanged since they were loaded.

    Raises:
        CheckpointError: if a tensor is not there exactly once.
    """
    return {name: _find(shards, name, tensor.detach()) for name, tensor in tensors.items()}


def _find(shards: Sequence[Shard], name: str, tensor: Tensor) -> Place:
    places = [
        (_common_end(name, entry.name), shard, entry)
        for shard in shards
        for entry in shard.entries
        if entry.shape == tuple(tensor.shape) and entry.dtype in FLOATS
    ]
    most = max((common for common, _, _ in places), default=0)
    found = [
        (shard, entry)
        for common, shard, entry in places
        if common == most and torch.equal(read_tensor((shard, entry)).to(tensor.dtype), tensor.cpu())
    ]
    if most == 0 or len(found) != 1:
        raise CheckpointError(
            f"expected the checkpoint to hold the model's {name} once, found it {len(found) if most else 0} times; "
            "give a floating-point checkpoint, before quantising or fusing it"
        )
    return found[0]


def _common_end(name: str, other: str) -> int:
    """How many dotted parts two names end with in common."""
    count = 0
    for mine, its in zip(reversed(name.split(".")), reversed(other.split(".")), strict=False):
        if mine != its:
            break
        count += 1
    return count
