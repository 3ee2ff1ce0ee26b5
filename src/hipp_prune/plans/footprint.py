"""What a model takes in memory by how much each block keeps: its weights as stored, and the KV cache, without torch."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Len

from hipp_prune.files.ranges import Count, Large
from hipp_prune.plans.arrays import Int, Ints


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The bytes of a dense model and of its L blocks' neurons, in the precision that its checkpoint is stored in."""

    weights: Large
    """Of all tensors of the checkpoint, vision tower and embeddings among them."""
    neurons: Annotated[tuple[Count, ...], Len(1)]
    """How many each block has, length L."""
    neuron_bytes: Annotated[tuple[Count, ...], Len(1)]
    """What leaves with one neuron of each block: a gate row, an up row, a down column (and two biases), length L."""
    biases: Large
    """What the blocks' down projections gain where all of them get a bias that had none."""
    token: Large | None
    """Of the KV cache of one token: blocks × KV heads × head size × 2 × bytes of a number; None if it is not known."""

    def __post_init__(self) -> None:
        if len(self.neurons) != len(self.neuron_bytes) or self.weights < self.removed_with(self.neurons):
            raise ValueError(
                "a model's neurons cannot take more than its weights, and each block has its own size"
            )

    def removed_with(self, neurons: tuple[int, ...]) -> int:
        """Bytes that leave with so many neurons of each block."""
        return sum(count * size for count, size in zip(neurons, self.neuron_bytes, strict=True))

    def pruned(self, kept: Int[Ints, "*plans units"]) -> Int[Ints, "*plans"]:
        """Bytes of the weights of plans that keep [..., L] neurons, [...]."""
        removed = (np.array(self.neurons) - kept) @ np.array(self.neuron_bytes)
        result: Ints = self.weights - removed
        return result

    def cache(self, *, context: int, batch: int) -> int:
        """Bytes of the KV cache of ``batch`` sequences of ``context`` tokens; no plan of neurons changes them."""
        assert self.token is not None
        return self.token * context * batch
