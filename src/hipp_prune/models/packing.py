"""Many questions behind the same images in one sequence, each seeing the images and itself only.

Most tokens of a prompt are its images'. A packed sequence holds what the prompts about the same images begin with (at
least the images) once, and behind it the rest of every prompt, the answer that is forced on it included. A tree mask
hides the other questions, and every token keeps the position it has in a prompt of its own, so that the last token of
every prompt, and of every answer behind it, computes what it computes alone. Questions without an image fill
sequences of their own up to the width that others need.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_PADDING = -1
_OWN_TOKENS = 2048
"""Most tokens behind a prefix, one question excepted: attention to hidden questions is computed and thrown away."""


@dataclass(frozen=True, kw_only=True)
class PackedBatch:
    """S right-padded sequences of T tokens, which hold B questions."""

    input_ids: Tensor
    """Token ids, int64 [S, T]."""
    segments: Tensor
    """0 in the shared prefix, n in the sequence's nth question (from 1), −1 at padding; int64 [S, T]."""
    predicts: Tensor
    """True where a question's next token is wanted: at the end of its prompt, and at every token that is forced
    behind it; bool [S, T], P of them."""
    order: Tensor
    """Which of those, counted in reading order, is next in the order of questions, int64 [P]."""
    images: tuple[int, ...]
    """For each image in reading order, its index in the features that ``pack`` returned beside the batch."""
    extras: dict[str, Tensor]
    """Further stock forward arguments: ``position_ids``, and what the family's images carry."""

    def tree_mask(self, dtype: torch.dtype) -> Tensor:
        """What the stock forward adds to the attention scores, 0 or ``dtype``'s lowest number, [S, 1, T, T].

        Built anew for every forward pass: kept with each prepared batch it would be by far its largest part.
        """
        visible = visible_tokens(self.segments)
        mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
        return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where each token of S packed sequences comes from in the B unpacked questions."""

    members: tuple[tuple[int, ...], ...]
    """The questions of each sequence."""
    segments: Tensor
    """As in ``PackedBatch``."""
    question: Tensor
    """The question a token is taken from (0 at padding), int64 [S, T]."""
    offset: Tensor
    """Its place in that question (0 at padding), int64 [S, T]."""
    predicts: Tensor
    """As in ``PackedBatch``."""

    @property
    def order(self) -> Tensor:
        """As in ``PackedBatch``."""
        return self.question[self.predicts].argsort(stable=True)

    def take(self, values: Tensor, padding: int) -> Tensor:
        """Packs what is known of every unpacked token: [..., B, length] → [..., S, T]."""
        return values.cpu()[..., self.question, self.offset].masked_fill(self.segments == _PADDING, padding)


def lay_out(
    input_ids: Tensor,
    predicts: Tensor,
    image_mask: Tensor,
    images: Sequence[Hashable],
) -> Layout:
    """Decides which questions share a sequence, and where their tokens go.

    Args:
        input_ids: right-padded prompts and what is forced behind them, [B, length].
        predicts: True at each prompt's last token and at all that follow it up to the padding, [B, length].
        image_mask: True at image tokens, [B, length].
        images: what tells the questions' images apart, false for none: such questions share sequences that are no wider
            than those about images are anyway.
    """
    input_ids, predicts, image_mask = input_ids.cpu(), predicts.cpu(), image_mask.cpu()
    prompts = predicts.long().argmax(1)
    lengths = prompts + predicts.sum(1)
    about = defaultdict(list)
    for index, image in enumerate(images):
        about[image].append(index)
    rows: list[Tensor] = []
    shares: list[tuple[int, ...]] = []
    for image, members in sorted(about.items(), key=lambda item: not item[0]):
        prefix = _prefix(input_ids, prompts, members)
        widest = max((row.shape[1] for row in rows), default=0)
        for share in _split(members, prefix, lengths, image_mask, _OWN_TOKENS if image else widest - prefix):
            shares.append(tuple(share))
            rows.append(_sequence(share, _prefix(input_ids, prompts, share), lengths, prompts))
    width = max(row.shape[1] for row in rows)
    padding = torch.tensor([[_PADDING], [0], [0], [0]])
    table = torch.stack([torch.cat([row, padding.expand(-1, width - row.shape[1])], dim=1) for row in rows])
    segments, question, offset, predicted = table.unbind(1)
    return Layout(
        members=tuple(shares), segments=segments, question=question, offset=offset, predicts=predicted.bool()
    )


def visible_tokens(segments: Tensor) -> Tensor:
    """Whether a token (rows) sees another (columns): itself, and before it the prefix and its own question.

    Args:
        segments: as in ``PackedBatch``, [S, T]; padding sees something too, so that no softmax is empty.

    Returns:
        bool [S, T, T].
    """
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return causal & ((segments[:, :, None] == segments[:, None, :]) | (segments == 0)[:, None, :])


def _prefix(input_ids: Tensor, prompts: Tensor, members: Sequence[int]) -> int:
    """How many tokens these rows begin with in common before the last one of a prompt (``prompts``, [B])."""
    rows = input_ids[list(members)]
    shared = (rows == rows[0]).all(0).long().cumprod(0).sum()
    return min(int(shared), int(prompts[list(members)].min()))


def _split(
    members: Sequence[int], prefix: int, lengths: Tensor, image_mask: Tensor, most: int
) -> list[list[int]]:
    """Cuts the questions about the same images into sequences; where a prompt puts an image last, nothing is shared.

    Args:
        members: the questions.
        prefix: tokens they share.
        lengths: of all, [B].
        image_mask: True at image tokens, [B, length].
        most: tokens behind a prefix, one question excepted.
    """
    if image_mask[list(members), prefix:].any():
        return [[index] for index in members]
    shares: list[list[int]] = []
    room = 0
    for index in members:
        own = int(lengths[index]) - prefix
        if own > room:
            shares.append([])
            room = most
        shares[-1].append(index)
        room -= own
    return shares


def _sequence(members: Sequence[int], prefix: int, lengths: Tensor, prompts: Tensor) -> Tensor:
    """Segment, question, offset and whether an answer is read there, of every token, [4, tokens]."""
    start = torch.arange(prefix)
    parts = [torch.stack([0 * start, 0 * start + members[0], start, 0 * start])]
    for segment, index in enumerate(members, start=1):
        offset = torch.arange(prefix, int(lengths[index]))
        answers = offset >= prompts[index]
        parts.append(torch.stack([0 * offset + segment, 0 * offset + index, offset, answers.long()]))
    return torch.cat(parts, dim=1)
