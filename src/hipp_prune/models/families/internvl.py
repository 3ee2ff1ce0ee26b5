"""InternVL3 (the ``-hf`` checkpoints): one or several tiles, their tokens in one run between two markers."""

from typing import Any

from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.models.family import NO_UNEVEN_GRAPH, NO_VISION_GRAPH, Family


class InternVLAdapter(Adapter):
    """The template writes one context token; the markers around an image are added here."""

    _markers = ("<img>", "</img>")
    _packs = True

    @property
    def _image_options(self) -> dict[str, Any]:
        return {"crop_to_patches": True}

    def _image_tokens(self, features: ImageFeatures) -> list[int]:
        vocabulary = self.processor.tokenizer.get_vocab()
        return [vocabulary["<img>"], *super()._image_tokens(features), vocabulary["</img>"]]


FAMILY = Family(
    name="InternVL3",
    model_type="internvl",
    adapter=InternVLAdapter,
    tested="contract tests",
    cannot={
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
