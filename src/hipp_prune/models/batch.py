"""What a language model is given: questions as token ids, and what it sees of their images."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Right-padded questions, ready for the language model; B questions, T tokens.

    The image placeholders are already expanded to one token per image feature.
    """

    input_ids: Tensor
    """Token ids, int64 [B, T]."""
    attention_mask: Tensor
    """1 for a token, 0 for padding, int64 [B, T]."""
    image_mask: Tensor
    """True at image tokens (the set V of Eq. 5), bool [B, T]."""
    marker_mask: Tensor
    """True at the image's own start/end markers, which belong to neither token set of Eq. 5, bool [B, T]."""
    last: Tensor
    """Index of the last token of each row, int64 [B]: of the prompt, or of the answer that is forced behind it."""
    images: tuple[int, ...]
    """For each image in reading order, its index in the features that ``encode`` returned beside the batch."""
    extras: dict[str, Tensor]
    """Further stock forward arguments, e.g. ``image_grid_thw`` and ``mm_token_type_ids`` for Qwen2.5-VL."""
    forced: tuple[int, ...] = ()
    """How many tokens of an answer stand behind each prompt, B of them; empty where none stands behind any."""

    @property
    def predicts(self) -> Tensor:
        """As in ``PackedBatch``, bool [B, T]."""
        forced = self.last.new_tensor(self.forced) if self.forced else torch.zeros_like(self.last)
        places = torch.arange(self.input_ids.shape[1], device=self.last.device)
        return (places <= self.last[:, None]) & (places >= (self.last - forced)[:, None])


@dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """One image behind the vision tower and projector: what the language model sees of it."""

    tokens: Tensor
    """[image tokens, hidden]."""
    extras: dict[str, Tensor]
    """What the family keeps with an image, e.g. ``image_grid_thw`` [1, 3]."""

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return self.tokens.nbytes + sum(extra.nbytes for extra in self.extras.values())
