"""LLaVA-1.5: CLIP tower, two-layer projector, Llama or Mistral or Qwen2 backbone; a fixed number of image tokens."""

from hipp_prune.models.adapter import Adapter
from hipp_prune.models.family import Family


class LlavaAdapter(Adapter):
    """``<image>`` in the prompt becomes one token per patch; there are no start/end markers."""

    _images_per_call = 8
    _packs = True


FAMILY = Family(
    name="LLaVA-1.5",
    model_type="llava",
    adapter=LlavaAdapter,
    tested="toy model end to end; contract tests; inputs equal the stock processor's",
)
