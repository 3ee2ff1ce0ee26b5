"""SmolVLM: its inputs are those of Idefics3."""

from hipp_prune.models.families.idefics3 import Idefics3Adapter
from hipp_prune.models.family import NO_VISION_GRAPH, Family

FAMILY = Family(
    name="SmolVLM",
    model_type="smolvlm",
    adapter=Idefics3Adapter,
    tested="contract tests",
    cannot={
        "onnx": NO_VISION_GRAPH,
    },
)
