"""Qwen2.5-VL: images of any size, rotary positions in three dimensions (mRoPE)."""

from torch import Tensor

from hipp_prune.models.adapter import Adapter, Batch
from hipp_prune.models.family import NO_UNEVEN_GRAPH, Family


class Qwen2VLAdapter(Adapter):
    """Serves Qwen2-VL too, whose inputs are the same.

    ``image_grid_thw`` travels with the image and ``mm_token_type_ids`` with the batch, so the stock forward computes
    the mRoPE positions itself, each question from its own images.
    """

    _markers = ("<|vision_start|>", "<|vision_end|>")
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
    cannot={
        "gguf": NO_UNEVEN_GRAPH,
    },
)
