"""The parts of a vision-language model as ONNX wants them: tensors in, tensors out, and no shape read from a value."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision


class FixedSizeVision(nn.Module):
    """Tower and projector of a family that resizes every picture to one size (LLaVA-1.5)."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model: Any = model.base_model

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Image features of one picture, [tokens, hidden], from its pixels [1, 3, height, width]."""
        features: Tensor = self.model.get_image_features(pixel_values, return_dict=True).pooler_output[0]
        return features


class AnySizeVision(nn.Module):
    """Tower and merger of Qwen2-VL and Qwen2.5-VL, for one picture of any size.

    The stock forward sorts the patches by window and attends window by window, in loops over sizes that it reads from
    the grid. Here the patches keep their order, and a mask of pairs in the same window says the same thing.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        visual: Any = model.base_model.visual
        config = visual.config
        self.visual = visual
        self.merge: int = config.spatial_merge_size
        """Patches on a side of what becomes one token."""
        self.window: int = 0
        """Tokens on a side of an attention window; 0 where there are none."""
        self.wide: set[int] = set(range(len(visual.blocks)))
        """Blocks that attend to the whole picture."""
        if hasattr(config, "fullatt_block_indexes"):
            self.window = config.window_size // config.spatial_merge_size // config.patch_size
            self.wide = set(config.fullatt_block_indexes)

    def forward(self, pixel_values: Tensor, image_grid_thw: Tensor) -> Tensor:
        """Image features [patches / merge², hidden] from patches [patches, values] and their grid [1, 3]."""
        columns = image_grid_thw[0, 2] // self.merge
        patch = torch.arange(pixel_values.shape[0], device=pixel_values.device)
        token, inner = patch // self.merge**2, patch % self.merge**2
        row, column = token // columns, token % columns
        positions = torch.stack(
            [row * self.merge + inner // self.merge, column * self.merge + inner % self.merge]
        )
        states = self.visual.patch_embed(pixel_values)
        rotary = self.visual.rotary_pos_emb(states, positions.T)
        near = self._same_window(row, column, columns)
        for index, block in enumerate(self.visual.blocks):
            mask = None if index in self.wide else near
            states = states + _attend(block.attn, block.norm1(states), rotary, mask)
            states = states + block.mlp(block.norm2(states))
        features: Tensor = self.visual.merger(states)
        return features

    def _same_window(self, row: Tensor, column: Tensor, columns: Tensor) -> Tensor | None:
        """Which patches share a window, bool [patches, patches]; None where nothing is windowed."""
        if not self.window:
            return None
        across = (columns + self.window - 1) // self.window
        window = row // self.window * across + column // self.window
        return window[:, None] == window[None, :]


def _attend(attention: Any, states: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
    """Self-attention of a Qwen vision block over one picture, [patches, width]."""
    count = states.shape[0]
    parts = attention.qkv(states).reshape(count, 3, attention.num_heads, -1).permute(1, 0, 2, 3)
    query, key = apply_rotary_pos_emb_vision(parts[0], parts[1], *rotary)
    query, key, value = (part.transpose(0, 1)[None] for part in (query, key, parts[2]))
    attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    projected: Tensor = attention.proj(attended[0].transpose(0, 1).reshape(count, -1))
    return projected


class Embedding(nn.Module):
    """Token embeddings, which image features then take the placeholders' places in."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.embeddings = model.get_input_embeddings()

    def forward(self, input_ids: Tensor) -> Tensor:
        """[B, T] → [B, T, width of the residual stream]."""
        embedded: Tensor = self.embeddings(input_ids)
        return embedded


class Decoder(nn.Module):
    """The language model over embeddings, with its cache as plain tensors: prompt and next tokens by one graph."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.decoder = model.get_decoder()
        self.head = model.get_output_embeddings()

    def forward(
        self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor, past: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """One pass over T new tokens behind P cached ones.

        Args:
            inputs_embeds: [B, T, width].
            attention_mask: 1 for a token, 0 for padding on the left, int64 [B, P + T].
            position_ids: of the new tokens, int64 [B, T], or [3, B, T] for mRoPE.
            past: keys and values of each block in turn, [B, heads, P, head width]; P may be 0.

        Returns:
            Logits behind the last token [B, 1, V], then the cache with the new tokens in it, in the order of ``past``.
        """
        cache = DynamicCache(zip(past[::2], past[1::2], strict=True))
        mask = _causal(attention_mask, inputs_embeds.shape[1], inputs_embeds.dtype)
        outputs = self.decoder(
            inputs_embeds=inputs_embeds,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        logits = self.head(outputs.last_hidden_state[:, -1:])
        layers: list[Any] = cache.layers
        return (logits, *(tensor for layer in layers for tensor in (layer.keys, layer.values)))


def _causal(attention_mask: Tensor, new: int, dtype: torch.dtype) -> Tensor:
    """What the last ``new`` tokens may attend to, as something to add to scores: [B, 1, new, all tokens]."""
    count = attention_mask.shape[1]
    tokens = torch.arange(count, device=attention_mask.device)
    asking = torch.arange(new, device=attention_mask.device) + (count - new)
    seen = tokens[None, :] <= asking[:, None]
    allowed = seen[None, None] & attention_mask[:, None, None, :].bool()
    return torch.where(allowed, 0.0, torch.finfo(dtype).min).to(dtype)
