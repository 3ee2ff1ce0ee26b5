"""Many questions behind one picture in one sequence, each seeing the picture and itself only.

A packed sequence is a prefix (the conversation's start and the picture, or the start alone) and the rest of
every prompt, one after the other. Positions restart behind the prefix and a tree mask hides the other
questions, so that every answer position computes exactly what it computes in a prompt of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from hipp_prune.experiments.toy.families import ToyFamily
from hipp_prune.questions.toyworld.scenes import GRID

PAD_SEGMENT = -1


class TargetKind(IntEnum):
    """What a model learns at a token: a claim, an answer, or where the text ends."""

    CLAIM = 0
    ANSWER = 1
    END = 2


@dataclass(frozen=True)
class Asked:
    """The tokens of one prompt behind the prefix and its answer, and what else to predict where."""

    ids: tuple[int, ...]
    """The prompt's tokens, then the answer's one token."""
    claims: tuple[tuple[int, int], ...]
    """(offset in ``ids``, token to predict there) inside the prompt."""

    def targets(self, end: int) -> list[tuple[int, int, TargetKind]]:
        """(offset, token, kind): the claims, the answer at the prompt's last token, and ``end`` after it."""
        claims = [(offset, token, TargetKind.CLAIM) for offset, token in self.claims]
        last = len(self.ids) - 1
        return [*claims, (last - 1, self.ids[last], TargetKind.ANSWER), (last, end, TargetKind.END)]


@dataclass(frozen=True)
class PackedRow:
    """A sequence of several questions about one picture, before it becomes tensors."""

    patches: tuple[int, ...]
    """Token whose embedding stands for each patch; empty without a picture."""
    picture: int
    """Index of the picture among the cached features; -1 to use ``patches`` alone."""
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class Prefix:
    """The tokens every packed sequence of one sort starts with."""

    ids: tuple[int, ...]
    positions: Tensor  # [axes prefix]
    patch_start: int
    """Index of the first patch; patches are consecutive. ``len(ids)`` without a picture."""
    next_position: int


@dataclass(frozen=True)
class RowBatch:
    """Rows of equal length, right-padded."""

    ids: Tensor  # [rows tokens]
    positions: Tensor  # [axes rows tokens]
    mask: Tensor  # [rows 1 tokens tokens]
    """Added to the attention scores: 0 or the most negative number."""
    patch_slots: tuple[tuple[int, int, int], ...]
    """(row, first patch, picture) of every row whose patches come from cached features."""
    target_rows: Tensor  # [targets]
    target_tokens: Tensor  # [targets]
    target_ids: Tensor  # [targets]
    target_kinds: Tensor  # [targets]
    """A :class:`TargetKind` each."""


class Packer:
    """Packs the prompts of one family; holds the tokenizer and the two prefixes."""

    def __init__(self, family: ToyFamily, tokenizer: PreTrainedTokenizerFast) -> None:
        self.family = family
        self.tokenizer = tokenizer
        self.end = tokenizer.get_vocab()[family.eos]
        self.with_picture = self._prefix(with_picture=True)
        self.without_picture = self._prefix(with_picture=False)

    def _prefix(self, *, with_picture: bool) -> Prefix:
        one, other = (
            self._encode([self.family.wrap(text, with_picture=with_picture)])[0] for text in ("Yes", "No")
        )
        shared = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        ids = one[:shared]
        patch = self.tokenizer.get_vocab()[self.family.picture_token]
        patch_start = ids.index(patch) if with_picture else len(ids)
        positions = torch.arange(len(ids)).repeat(self.family.position_axes, 1)
        if with_picture and self.family.position_axes > 1:
            rows = torch.arange(GRID).repeat_interleave(GRID)
            columns = torch.arange(GRID).repeat(GRID)
            grid = torch.stack([torch.zeros_like(rows), rows, columns])
            positions[:, patch_start : patch_start + GRID**2] = patch_start + grid
            positions[:, patch_start + GRID**2 :] -= GRID**2 - GRID
        return Prefix(tuple(ids), positions, patch_start, int(positions.max()) + 1)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        encoded: list[list[int]] = self.tokenizer(list(texts))["input_ids"]
        return encoded

    def ask(self, texts: Sequence[str], *, with_picture: bool) -> list[list[int]]:
        """The tokens of each prompt behind the prefix."""
        prefix = self.with_picture if with_picture else self.without_picture
        wrapped = self._encode([self.family.wrap(text, with_picture=with_picture) for text in texts])
        return [ids[len(prefix.ids) :] for ids in wrapped]

    def collate(self, rows: Sequence[PackedRow]) -> RowBatch:
        """One batch of packed rows; rows with and without a picture may be mixed."""
        lengths = [len(self._prefix_of(row).ids) + sum(len(a.ids) for a in row.asked) for row in rows]
        shape = (len(rows), max(lengths))
        ids = torch.zeros(shape, dtype=torch.long)
        segments = torch.full(shape, PAD_SEGMENT)
        positions = torch.zeros((self.family.position_axes, *shape), dtype=torch.long)
        targets: list[tuple[int, int, int, int]] = []
        slots: list[tuple[int, int, int]] = []
        for index, row in enumerate(rows):
            prefix = self._prefix_of(row)
            at = len(prefix.ids)
            ids[index, :at] = torch.tensor(prefix.ids)
            end = prefix.patch_start + len(row.patches)
            ids[index, prefix.patch_start : end] = torch.tensor(row.patches, dtype=torch.long)
            segments[index, :at] = 0
            positions[:, index, :at] = prefix.positions
            if row.picture >= 0:
                slots.append((index, prefix.patch_start, row.picture))
            for number, asked in enumerate(row.asked, start=1):
                stop = at + len(asked.ids)
                ids[index, at:stop] = torch.tensor(asked.ids)
                segments[index, at:stop] = number
                positions[:, index, at:stop] = prefix.next_position + torch.arange(len(asked.ids))
                targets += [
                    (index, at + offset, token, kind) for offset, token, kind in asked.targets(self.end)
                ]
                at = stop
        where = torch.tensor(targets).T
        return RowBatch(
            ids, positions, tree_mask(segments), tuple(slots), where[0], where[1], where[2], where[3]
        )

    def _prefix_of(self, row: PackedRow) -> Prefix:
        return self.with_picture if row.patches else self.without_picture


def tree_mask(segments: Tensor) -> Tensor:
    """Causal mask in which segment 0 is seen by all and every other segment by itself only.

    ``segments`` is [rows, tokens], the result [rows, 1, tokens, tokens], added to the attention scores.
    Padding sees itself, so that no row of the softmax is empty.
    """
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = segments[:, :, None] == segments[:, None, :]
    shared = (segments[:, None, :] == 0) & (segments[:, :, None] != PAD_SEGMENT)
    visible = causal & (same | shared)
    mask = torch.zeros(visible.shape).masked_fill_(~visible, torch.finfo(torch.float32).min)
    return mask[:, None]
