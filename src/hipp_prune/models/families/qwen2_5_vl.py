"""Qwen2.5-VL: images of any size, rotary positions in three dimensions (mRoPE)."""

from torch import Tensor

from hipp_prune.models.adapter import Adapter, Batch
from hipp_prune.models.family import Family

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The hub checkpoints' conversation, with their default system message."""


class Qwen2VLAdapter(Adapter):
    """Serves Qwen2-VL too, whose inputs are the same.

    ``image_grid_thw`` travels with the image and ``mm_token_type_ids`` with the batch, so the stock forward computes
    the mRoPE positions itself, each question from its own images.
    """

    _markers = ("<|vision_start|>", "<|vision_end|>")
    _default_template = CHATML
    _images_per_call = 8
    _packs = True

    def _positions(self, batch: Batch) -> Tensor:
        """Temporal, height and width position of every token, [3, B, T]."""
        positions: Tensor
        positions, _ = self.model.base_model.get_rope_index(
            batch.input_ids, attention_mask=batch.attention_mask, **batch.extras
        )
        return positions


FAMILY = Family(
    name="Qwen2.5-VL",
    model_type="qwen2_5_vl",
    adapter=Qwen2VLAdapter,
    tested="toy model end to end; contract tests",
)
