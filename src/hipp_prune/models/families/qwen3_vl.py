"""Qwen3-VL: its inputs are those of Qwen2.5-VL; images enter behind the first blocks too (DeepStack)."""

from hipp_prune.models.families.qwen2_5_vl import Qwen2VLAdapter
from hipp_prune.models.family import NO_UNEVEN_GRAPH, NO_VISION_GRAPH, Family

FAMILY = Family(
    name="Qwen3-VL",
    model_type="qwen3_vl",
    adapter=Qwen2VLAdapter,
    tested="contract tests",
    cannot={
        "slicegpt": "its images are added behind the first blocks too, where slicing has another basis",
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
