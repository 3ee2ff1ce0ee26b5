"""Neurons sorted once, any plan a prefix: how a search evaluates thousands of plans without copying a weight.

``sort_neurons`` and ``sort_rows`` permute each block's gate rows, up rows and down columns by descending
importance, in place. The model computes the same function; but now the neurons a plan keeps are the first k
of each block, and ``gate[:k]``, ``up[:k]``, ``down[:, :k]`` are views. Equal to masking (``masking.py``) up to
the rounding of a reordered sum.

The model stays sorted until ``restore``. Masks are always in the *original* order; a sorted model must not be
given to anything that expects that order (scoring, masking, saving).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor, nn

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.models.structure import compares_neurons
from hipp_prune.plans.arrays import Ints
from hipp_prune.plans.plan import keep_masks
from hipp_prune.plans.prefixes import neuron_ranks, order_ranks
from hipp_prune.pruning.compensated import Compensated
from hipp_prune.pruning.masking import Mask

Undo = list[tuple[Tensor, Tensor]]
"""Parameters and the values to give back to them."""

_sorted_mlps: "WeakSet[nn.Module]" = WeakSet()
"""MLPs whose neurons are out of their original order: sorting them again would lose it."""


class SortedModel(Protocol):
    """A model whose plans are prefixes: the one interface for both pruning units."""

    orders: tuple[Ints, ...]
    """Original index of every neuron of each block, in the order the weights now have; length L."""
    rankings: tuple[Ints, ...]
    """Original indices behind each mask of a plan, most important first: of neurons, length L (``coupled``); of
    gate, up and down rows, length 3 L (``rows``)."""

    def apply(self, kept: Sequence[int]) -> AbstractContextManager[None]:
        """Context manager: the model is pruned to these kept counts (``Plan.kept``) inside it."""

    def keep_masks(self, kept: Sequence[int]) -> list[Mask]:
        """The keep-masks of these counts in original order, as ``Plan.masks`` stores them."""

    def error_curves(self) -> list[Tensor]:
        """Of compensated blocks, see ``Compensated.error_curves``; none of others."""

    def restore(self) -> None:
        """Brings every neuron back to its original place."""


class SortedNeurons:
    """``coupled``: kept[l] neurons of block l stay, and answer for the others if they are ``compensated``."""

    def __init__(
        self, adapter: Adapter, orders: Sequence[Ints], compensated: Compensated | None = None
    ) -> None:
        self._blocks = adapter.blocks
        self._compensated = compensated
        self._parameters = [_parameters(block) for block in adapter.blocks]
        self.orders = self.rankings = tuple(orders)
        _permute(self._blocks, self.orders)

    @contextmanager
    def apply(self, kept: Sequence[int]) -> Iterator[None]:
        """Prunes the model to the ``kept[l]`` best neurons of each block inside the context, views alone.

        Where they are compensated, the down projections hold W'(k) or their biases instead.
        """
        assert len(kept) == len(self._blocks), f"{len(kept)} counts for {len(self._blocks)} blocks"
        undo: Undo = []
        try:
            for index, (parameters, count) in enumerate(zip(self._parameters, kept, strict=True)):
                _slice(undo, parameters, count)
                for parameter, values in self._compensated.values(index, count) if self._compensated else ():
                    undo.append((parameter, parameter.data))
                    parameter.data = values
            yield
        finally:
            _undo(undo)

    def keep_masks(self, kept: Sequence[int]) -> list[Mask]:
        """L keep-masks [neurons] in original order."""
        return keep_masks("coupled", self.rankings, kept)

    def error_curves(self) -> list[Tensor]:
        """See ``Compensated.error_curves``."""
        return [] if self._compensated is None else self._compensated.error_curves()

    def restore(self) -> None:
        """Brings every neuron back to its original place."""
        if self._compensated is not None:
            self._compensated.release()
        _restore(self._blocks, self.orders)


class SortedRows:
    """``rows``: kept[2l] rows of gate and of up, and kept[2l + 1] rows of down, stay in block l.

    Gate and up rank their rows apart. With k rows kept in each, a neuron lives iff both its ranks (0 is the
    most important) are below k, iff max(rank_gate, rank_up) < k: sorted by that maximum, survivors are a
    prefix. A masked down row zeroes a coordinate of the MLP's output, which cannot be sliced out: a hook
    writes the zeros.
    """

    def __init__(self, adapter: Adapter, scores: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        for block in adapter.blocks:
            check_zero_is_silent(block)
        self._blocks = adapter.blocks
        self._parameters = [_parameters(block) for block in adapter.blocks]
        self.rankings: tuple[Ints, ...] = tuple(_order(part) for parts in scores for part in parts)
        bottleneck = neuron_ranks("rows", self.rankings)
        self.orders: tuple[Ints, ...] = tuple(np.argsort(worst, kind="stable") for worst in bottleneck)
        self._bottleneck = [worst[order] for worst, order in zip(bottleneck, self.orders, strict=True)]
        self._down_orders = [
            torch.as_tensor(ranking, device=block.down.weight.device)
            for block, ranking in zip(self._blocks, self.rankings[2::3], strict=True)
        ]
        _permute(self._blocks, self.orders)

    @contextmanager
    def apply(self, kept: Sequence[int]) -> Iterator[None]:
        """Masks the rows of the model inside the context: dead neurons by views, dead outputs by a hook."""
        assert len(kept) == 2 * len(self._blocks), f"{len(kept)} counts for {len(self._blocks)} blocks"
        undo: Undo = []
        with ExitStack() as hooks:
            try:
                for index, block in enumerate(self._blocks):
                    _slice(undo, self._parameters[index], self.num_neurons(index, kept[2 * index]))
                    silent = self._down_orders[index][kept[2 * index + 1] :]
                    if len(silent):
                        hooks.callback(block.down.register_forward_hook(_silence(silent)).remove)
                yield
            finally:
                _undo(undo)

    def num_neurons(self, block: int, kept: int) -> int:
        """Neurons of a block that live when gate and up keep ``kept`` rows each: at least 2 kept − N."""
        return int(np.searchsorted(self._bottleneck[block], kept))

    def keep_masks(self, kept: Sequence[int]) -> list[Mask]:
        """3 L keep-masks in original order: gate [neurons], up [neurons], down [hidden] of each block."""
        return keep_masks("rows", self.rankings, kept)

    def error_curves(self) -> list[Tensor]:
        """None: rows are not compensated."""
        return []

    def restore(self) -> None:
        """Brings every neuron back to its original place."""
        _restore(self._blocks, self.orders)


def sort_neurons(
    adapter: Adapter,
    scores: Sequence[Tensor],
    compensate: Callable[[Sequence[Ints]], Compensated | None] | None = None,
) -> SortedNeurons:
    """Sorts every block's neurons by descending score; equal scores keep their order.

    Args:
        adapter: the model, its neurons in original order; changed in place.
        scores: L scores [neurons], from ``score_neurons``.
        compensate: told the orders before anything moves, makes what compensates for the neurons that leave.
    """
    orders = [_order(score) for score in scores]
    return SortedNeurons(adapter, orders, None if compensate is None else compensate(orders))


def sort_rows(adapter: Adapter, scores: Sequence[tuple[Tensor, Tensor, Tensor]]) -> SortedRows:
    """Sorts every block's neurons by the worse of their gate and up ranks, for the paper's row masks.

    Args:
        adapter: the model, its neurons in original order; changed in place.
        scores: for each block gate [neurons], up [neurons] and down [hidden], from ``score_rows``.

    Raises:
        UnsupportedModelError: if act(0) ≠ 0, so that a masked gate row would not silence its neuron.
    """
    return SortedRows(adapter, scores)


def _order(score: Tensor) -> Ints:
    """Indices by descending score, ties by ascending index, [neurons]."""
    order: Ints = torch.argsort(score.detach().cpu(), descending=True, stable=True).numpy()
    return order


@torch.no_grad()
def _permute(blocks: Sequence[Block], orders: Sequence[Ints]) -> None:
    """Reorders rows of gate and up (with biases) and columns of down in place: the same function."""
    assert len(blocks) == len(orders), f"{len(orders)} scores for {len(blocks)} blocks"
    for block, order in zip(blocks, orders, strict=True):
        assert block.mlp not in _sorted_mlps, f"{block.name} is sorted already: call restore() first"
        assert len(order) == block.gate.out_features, f"{block.name}: {len(order)} scores"
        _move(block, order)
        _sorted_mlps.add(block.mlp)


@torch.no_grad()
def _restore(blocks: Sequence[Block], orders: Sequence[Ints]) -> None:
    for block, order in zip(blocks, orders, strict=True):
        assert block.mlp in _sorted_mlps, f"{block.name} is in its original order already"
        _move(block, order_ranks(order))
        _sorted_mlps.remove(block.mlp)


def _move(block: Block, order: Ints) -> None:
    index = torch.as_tensor(order, device=block.gate.weight.device)
    for projection in (block.gate, block.up):
        projection.weight.copy_(projection.weight[index])
        if projection.bias is not None:
            projection.bias.copy_(projection.bias[index])
    block.down.weight.copy_(block.down.weight[:, index])


def _parameters(block: Block) -> tuple[tuple[Tensor, ...], Tensor]:
    """What a neuron owns: rows of the first, a column of the last. Looked up once, since looking up is what costs."""
    rows = (block.gate.weight, block.up.weight, block.gate.bias, block.up.bias)
    return tuple(parameter for parameter in rows if parameter is not None), block.down.weight


def _slice(undo: Undo, parameters: tuple[tuple[Tensor, ...], Tensor], count: int) -> None:
    """Shows the model only the first ``count`` neurons; the parameters stay the same objects."""
    rows, down = parameters
    for parameter in rows:
        whole = parameter.data
        undo.append((parameter, whole))
        parameter.data = whole[:count]
    whole = down.data
    undo.append((down, whole))
    down.data = whole[:, :count]


def _undo(undo: Undo) -> None:
    for parameter, whole in reversed(undo):
        parameter.data = whole


def _silence(coordinates: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    """A forward hook of down: the outputs of its masked rows are zero, bias included."""

    def hook(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output.index_fill(-1, coordinates, 0)

    return hook


def check_zero_is_silent(block: Block) -> None:
    """Refuses a block of which a neuron is not silent whose gate row is masked.

    Raises:
        UnsupportedModelError: if act(0) ≠ 0, or neurons are compared with one another.
    """
    if compares_neurons(block):
        raise UnsupportedModelError(
            f"{block.name}: a masked gate row would still be among those that its neurons are compared with; use the "
            "coupled unit"
        )
    act = getattr(block.mlp, "act_fn", None)
    if act is not None and bool(act(torch.zeros(1)) != 0):
        raise UnsupportedModelError(
            f"{block.name}: a masked gate row silences its neuron only where act(0) = 0, which "
            f"{type(act).__name__} breaks; use the coupled unit"
        )
