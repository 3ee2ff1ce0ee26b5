"""VipLLaVA: LLaVA-1.5 whose projector sees several layers of the tower."""

from hipp_prune.models.families.llava import LlavaAdapter
from hipp_prune.models.family import NO_VISION_GRAPH, Family

FAMILY = Family(
    name="VipLLaVA",
    model_type="vipllava",
    adapter=LlavaAdapter,
    tested="contract tests",
    cannot={"onnx": NO_VISION_GRAPH},
)
