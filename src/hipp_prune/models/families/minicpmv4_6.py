"""MiniCPM-V 4.6: pictures and their slices are numbered and marked; a merger halves them inside the tower."""

from hipp_prune.models.family import NO_UNEVEN_GRAPH, NO_VISION_GRAPH, ONE_PICTURE, Family
from hipp_prune.models.stock_layout import StockLayoutAdapter

FAMILY = Family(
    name="MiniCPM-V 4.6",
    model_type="minicpmv4_6",
    adapter=StockLayoutAdapter,
    tested="contract tests",
    cannot={
        "several pictures": ONE_PICTURE,
        "packing": "transformers' own processor lays out its prompts, one by one",
        "llm-pruner": "each query carries a gate, so that its rows are not those of its head alone",
        "slicegpt": "its norms multiply by one more than their weights, which slicing does not know",
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
