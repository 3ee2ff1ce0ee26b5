"""Batches on their way through the blocks, in the dense model and in pruned ones: for what is fitted block by block.

What a pass has computed is not computed again where memory holds it: the dense stream behind every block, from the
pass that shows how the model calls its blocks; and r̃ and ã_P (``pruning.sequential``) of every batch, of which
r̃ + W'_P ã_P is where a pruned block leads.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hipp_prune.models.adapter import Adapter, Batch, Block, ImageFeatures
from hipp_prune.models.block_calls import BlockCall, on_block_calls
from hipp_prune.pruning.reconstruction import PrunedMlp

HELD_BYTES = 2**30
"""Of the dense stream behind all blocks, and as much of what one block has computed, that are kept; beyond, blocks run
once more."""


@dataclass
class Stream:
    """A batch on its way through the blocks, in the dense model and in the pruned one."""

    calls: list[BlockCall]
    """How the model calls each block."""
    between: dict[int, Tensor]
    """What the model itself adds to the states before a block, by the block's index."""
    behind: list[Tensor]
    """Residual stream of the dense model behind each block to come, [B, T, H]; empty where memory does not hold it."""
    dense: Tensor
    """The same behind the blocks so far."""
    pruned: list[Tensor]
    """Each plan's, with all blocks so far pruned and fitted."""
    weights: Tensor
    """ω, float32 [B, T]; 0 at padding."""
    held: bool
    """Whether these questions are held out."""

    def enter(self, block: int) -> None:
        """Adds what the model adds before a block, and leads the dense stream through it."""
        if block in self.between:
            self.dense = self.dense + self.between[block]
            self.pruned = [states + self.between[block] for states in self.pruned]
        self.dense = self.behind.pop(0) if self.behind else self.calls[block].run(self.dense)


@dataclass
class Computed:
    """What a block has made of a batch in a pruned stream, all its neurons at work."""

    rest: Tensor
    """r̃, the stream without what the MLP adds, float32 [B, T, H]."""
    inputs: Tensor
    """ã_P, [B, T, kept]."""

    @property
    def num_bytes(self) -> int:
        """What keeping it for the fitted block costs memory."""
        return self.rest.nbytes + self.inputs.nbytes

    def behind(self, block: Block, down: Tensor, dtype: torch.dtype) -> Tensor:
        """The stream behind the block whose down projection is W'_P, [B, T, H]."""
        added = nn.functional.linear(self.inputs, down.to(self.inputs), block.down.bias)
        return (self.rest + added).to(dtype)


def enter_streams(
    adapter: Adapter,
    asked: Iterable[tuple[Batch, Sequence[ImageFeatures], bool]],
    num_plans: int,
    image_weight: float | None,
    answer_share: float,
) -> list[Stream]:
    """Batches before the first block.

    Args:
        adapter: the dense model.
        asked: batches, the pictures' features of each, and whether it is held out.
        num_plans: pruned streams of each batch.
        image_weight: share of image tokens, as for ``token_shares``.
        answer_share: of the last token of each row, in [0, 1).
    """
    entered, streams, room = [], [], HELD_BYTES
    for batch, images, held in asked:
        calls, between, states, behind = _record(adapter, batch, images, room)
        room -= sum(each.nbytes for each in behind)
        streams.append(Stream(calls, between, behind, states, [states] * num_plans, states, held))
        entered.append(batch)
    for stream, weights in zip(streams, token_shares(entered, image_weight, answer_share), strict=True):
        stream.weights = weights
    return streams


def token_shares(asked: Sequence[Batch], image_weight: float | None, answer_share: float) -> list[Tensor]:
    """ω of all batches' tokens, a share of everything each, float32 [B, T]: batches of other sizes weigh them alike."""
    present = [batch.attention_mask.bool() for batch in asked]
    images = [batch.image_mask & tokens for batch, tokens in zip(asked, present, strict=True)]
    num_tokens, num_image = (float(sum(mask.sum() for mask in masks)) for masks in (present, images))
    num_answers = sum(len(batch.last) for batch in asked)
    num_text = num_tokens - num_image
    if image_weight is None or not num_image or not num_text:
        image = text = 1 / num_tokens
    else:
        image, text = image_weight / num_image, (1 - image_weight) / num_text
    shares = []
    for batch, tokens, of_image in zip(asked, present, images, strict=True):
        weights = (1 - answer_share) * torch.where(of_image, image, text) * tokens
        answered = torch.full_like(weights[:, :1], answer_share / num_answers)
        shares.append(weights.scatter_add(1, batch.last[:, None], answered))
    return shares


def _record(
    adapter: Adapter, batch: Batch, images: Sequence[ImageFeatures], room: int
) -> tuple[list[BlockCall], dict[int, Tensor], Tensor, list[Tensor]]:
    """How the model calls its blocks on a batch, and the stream on its way.

    Args:
        adapter: the dense model.
        batch: which is passed through it once.
        images: of the batch.
        room: bytes that the states behind all blocks may take.

    Returns:
        The calls, what the model adds before some blocks, the states before the first, and those behind each, if there
        is room.
    """
    calls: list[BlockCall] = []
    behind: list[Tensor] = []
    between: dict[int, Tensor] = {}
    first: list[Tensor] = []
    last: list[Tensor] = []

    def enter(call: BlockCall, states: Tensor) -> Tensor:
        if not calls:
            first.append(states)
        elif not torch.equal(states, last[0]):
            between[len(calls)] = states - last[0]
        calls.append(call)
        return states

    def leave(states: Tensor) -> Tensor:
        last[:] = [states]
        if states.nbytes * len(adapter.blocks) <= room:
            behind.append(states)
        return states

    with on_block_calls(adapter, enter, leave):
        adapter.hidden_states(batch, images)
    return calls, between, first[0], behind


@contextmanager
def mlp_traffic(block: Block) -> Iterator[list[Tensor]]:
    """What the MLP reads, and what down reads and returns, inside the context: [states, input, output]."""
    seen: list[Tensor] = []

    def enter(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen[:] = arguments[:1]

    def leave(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        seen[1:] = [arguments[0], output]

    hooks = [block.gate.register_forward_pre_hook(enter), block.down.register_forward_hook(leave)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def standing_in(block: Block, pruned: PrunedMlp, keep: Tensor) -> Iterator[None]:
    """The block computes as if it were pruned: zeros in down where neurons leave."""
    parts = [(block.down, pruned.down.T), (block.gate, pruned.gate), (block.up, pruned.up)]
    before = [part.weight.data for part, _ in parts]
    for part, rows in parts:
        if rows is not None:
            part.weight.data = _in_place(part is block.down, part.weight.data, rows, keep)
    try:
        yield
    finally:
        for (part, _), weight in zip(parts, before, strict=True):
            part.weight.data = weight


def _in_place(of_columns: bool, weight: Tensor, rows: Tensor, keep: Tensor) -> Tensor:
    """Zeros of a weight's shape, but for a row, or a column, of every neuron that stays, [kept, hidden]."""
    masked = torch.zeros_like(weight)
    (masked.T if of_columns else masked)[keep] = rows.to(weight.dtype)
    return masked
