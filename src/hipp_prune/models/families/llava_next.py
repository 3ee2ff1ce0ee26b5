"""LLaVA-NeXT: LLaVA-1.5 with tiles, whose tokens arrive as one run."""

from hipp_prune.models.adapter import Adapter
from hipp_prune.models.family import NO_VISION_GRAPH, Family


class LlavaNextAdapter(Adapter):
    """An overview and tiles, a newline feature a row; how many tokens that makes depends on the image's shape."""

    _packs = True


FAMILY = Family(
    name="LLaVA-NeXT",
    model_type="llava_next",
    adapter=LlavaNextAdapter,
    tested="contract tests; inputs equal the stock processor's",
    cannot={
        "slicegpt": "its images hold features that no linear writes (image_newline), which slicing does not know",
        "onnx": NO_VISION_GRAPH,
    },
)
