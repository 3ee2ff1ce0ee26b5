"""FastVLM: LLaVA-1.5 behind a convolutional tower, whose map becomes one token a place."""

from hipp_prune.models.adapter import Adapter
from hipp_prune.models.family import NO_VISION_GRAPH, Family


class FastVlmAdapter(Adapter):
    """``<image>`` in the prompt becomes one token per place of the map; there are no start/end markers."""

    _images_per_call = 8
    _packs = True


FAMILY = Family(
    name="FastVLM",
    model_type="fast_vlm",
    adapter=FastVlmAdapter,
    tested="contract tests, with a tower of transformers' own",
    cannot={"onnx": NO_VISION_GRAPH},
)
