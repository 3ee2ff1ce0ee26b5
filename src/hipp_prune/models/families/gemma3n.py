"""Gemma 3n: four residual streams, embeddings for every block, a tower of timm's; neurons that are compared."""

from hipp_prune.models.family import NO_SLICING, NO_UNEVEN_GRAPH, NO_VISION_GRAPH, ONE_PICTURE, Family
from hipp_prune.models.stock_layout import StockLayoutAdapter


class Gemma3nAdapter(StockLayoutAdapter):
    """The stock processor writes two marks and blank lines around a picture."""

    _markers = ("<start_of_image>", "<end_of_image>")


FAMILY = Family(
    name="Gemma 3n",
    model_type="gemma3n",
    adapter=Gemma3nAdapter,
    tested="contract tests, where timm is installed",
    cannot={
        "packing": "transformers' own processor lays out its prompts, one by one",
        "llm-pruner": "some blocks read the keys and values of others",
        "slicegpt": NO_SLICING,
        "padded": "the neurons of its first blocks are compared with one another, and zeros would be among them; its "
        "own class takes blocks of their own width",
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
        "several pictures": ONE_PICTURE,
    },
)
