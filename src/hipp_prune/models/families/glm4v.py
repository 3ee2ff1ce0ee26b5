"""GLM-4.1V: images of any size and rotary positions as Qwen2.5-VL's; gate and up projections in one matrix."""

from hipp_prune.models.families.qwen2_5_vl import Qwen2VLAdapter
from hipp_prune.models.family import NO_SLICING, NO_UNEVEN_GRAPH, NO_VISION_GRAPH, Family


class Glm4vAdapter(Qwen2VLAdapter):
    """The image token stands between marks of its own."""

    _markers = ("<|begin_of_image|>", "<|end_of_image|>")


FAMILY = Family(
    name="GLM-4.1V",
    model_type="glm4v",
    adapter=Glm4vAdapter,
    tested="contract tests",
    cannot={
        "slicegpt": NO_SLICING,
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
