"""Qwen2-VL: its inputs are those of Qwen2.5-VL."""

from hipp_prune.models.families.qwen2_5_vl import Qwen2VLAdapter
from hipp_prune.models.family import NO_UNEVEN_GRAPH, Family

FAMILY = Family(
    name="Qwen2-VL",
    model_type="qwen2_vl",
    adapter=Qwen2VLAdapter,
    tested="contract tests",
    cannot={
        "gguf": NO_UNEVEN_GRAPH,
    },
)
