"""Gemma 4: pictures of any size; full attention in every fifth or sixth block, whose heads are wider."""

from hipp_prune.models.family import NO_SLICING, NO_UNEVEN_GRAPH, NO_VISION_GRAPH, ONE_PICTURE, Family
from hipp_prune.models.stock_layout import StockLayoutAdapter


class Gemma4Adapter(StockLayoutAdapter):
    """The stock processor writes a mark before and behind a picture's tokens."""

    _markers = ("<|image>", "<image|>")


FAMILY = Family(
    name="Gemma 4",
    model_type="gemma4",
    adapter=Gemma4Adapter,
    tested="contract tests",
    cannot={
        "packing": "the tokens of a picture see each other, which no mask of one sequence tells the stock forward",
        "llm-pruner": "blocks have heads of different size, and some read the keys and values of others",
        "slicegpt": NO_SLICING,
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
        "several pictures": ONE_PICTURE,
    },
)
