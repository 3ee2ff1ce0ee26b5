"""LLaVA-OneVision: an overview and tiles of a SigLIP tower, fewer features where they are many."""

from hipp_prune.models.adapter import Adapter
from hipp_prune.models.family import NO_UNEVEN_GRAPH, NO_VISION_GRAPH, Family


class LlavaOnevisionAdapter(Adapter):
    """``<image>`` in the prompt becomes one token per feature; how many depends on the image's shape."""

    _packs = True
    _takes_several = False


FAMILY = Family(
    name="LLaVA-OneVision",
    model_type="llava_onevision",
    adapter=LlavaOnevisionAdapter,
    tested="contract tests",
    cannot={
        "several pictures": (
            "alone a picture is cut into tiles, among several it is not, and it is encoded once here; leave out "
            "questions about several"
        ),
        "slicegpt": "its images hold features that no linear writes (image_newline), which slicing does not know",
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
