"""Pixtral, whose checkpoints are called LLaVA: a Pixtral tower, one token a patch, a mark behind each row."""

from hipp_prune.models.families.mistral3 import Mistral3Adapter
from hipp_prune.models.family import NO_UNEVEN_GRAPH, NO_VISION_GRAPH, Family


class PixtralAdapter(Mistral3Adapter):
    """As in Mistral Small 3.1, without merging patches."""

    @property
    def _side(self) -> int:
        return int(self.model.config.vision_config.patch_size)


FAMILY = Family(
    name="Pixtral",
    model_type="llava",
    tower="pixtral",
    adapter=PixtralAdapter,
    tested="contract tests",
    cannot={
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
