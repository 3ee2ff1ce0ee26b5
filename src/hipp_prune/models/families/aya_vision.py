"""Aya Vision: tiles and an overview, each with its mark; in a Cohere backbone MLP and attention run side by side."""

from hipp_prune.models.family import NO_SLICING, NO_UNEVEN_GRAPH, NO_VISION_GRAPH, ONE_PICTURE, Family
from hipp_prune.models.stock_layout import StockLayoutAdapter


class AyaVisionAdapter(StockLayoutAdapter):
    """``<image>`` in the prompt becomes marks and patches as the stock processor lays them out."""


FAMILY = Family(
    name="Aya Vision",
    model_type="aya_vision",
    adapter=AyaVisionAdapter,
    tested="contract tests",
    cannot={
        "several pictures": ONE_PICTURE,
        "packing": "transformers' own processor lays out its prompts, one by one",
        "slicegpt": NO_SLICING,
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
