"""Gemma 3: a picture is 256 tokens that see each other both ways; most blocks have a sliding window."""

from hipp_prune.models.family import NO_SLICING, NO_UNEVEN_GRAPH, NO_VISION_GRAPH, ONE_PICTURE, Family
from hipp_prune.models.stock_layout import StockLayoutAdapter


class Gemma3Adapter(StockLayoutAdapter):
    """The stock processor writes two marks and blank lines around a picture."""

    _markers = ("<start_of_image>", "<end_of_image>")


FAMILY = Family(
    name="Gemma 3",
    model_type="gemma3",
    adapter=Gemma3Adapter,
    tested="contract tests",
    cannot={
        "several pictures": ONE_PICTURE,
        "packing": "the tokens of a picture see each other, which no mask of one sequence tells the stock forward",
        "slicegpt": NO_SLICING,
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
