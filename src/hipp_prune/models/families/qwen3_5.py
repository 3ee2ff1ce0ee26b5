"""Qwen3.5: its inputs are those of Qwen2.5-VL; three blocks of four have linear attention, which no mask divides."""

from hipp_prune.models.families.qwen2_5_vl import Qwen2VLAdapter
from hipp_prune.models.family import NO_SLICING, NO_UNEVEN_GRAPH, NO_VISION_GRAPH, Family

FAMILY = Family(
    name="Qwen3.5",
    model_type="qwen3_5",
    adapter=Qwen2VLAdapter,
    tested="contract tests",
    cannot={
        "packing": "linear attention carries a state from token to token, which no mask divides",
        "llm-pruner": "most of its blocks have linear attention, whose heads are not those of queries and keys",
        "slicegpt": NO_SLICING,
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
