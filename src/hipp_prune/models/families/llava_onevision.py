"""LLaVA-OneVision: an overview and tiles of a SigLIP tower, fewer features where they are many."""

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image
from torch import Tensor

from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.models.family import NO_UNEVEN_GRAPH, NO_VISION_GRAPH, Family

_AMONG = "among_others"
"""The extra that holds an image's features as one of several, [image tokens, hidden]."""


class LlavaOnevisionAdapter(Adapter):
    """``<image>`` in the prompt becomes one token per feature; how many depends on the image's shape.

    One of several pictures is not cut into tiles but filled up to a square, which is encoded beside the tiles.
    """

    _packs = True

    def _encode_chunk(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        (features,) = super()._encode_chunk(images)
        inputs = {key: value.to(self.device) for key, value in self.shown_pixels([images[0]] * 2).items()}
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        among, _ = self._stock_features(inputs).pooler_output
        return [replace(features, extras={**features.extras, _AMONG: among})]

    def shown_pixels(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """As of any family, but its processor is told that several belong together, or it would cut each into tiles."""
        return self.processor.pixels(images, together=len(images) > 1)

    def _among(self, features: ImageFeatures) -> ImageFeatures:
        return replace(features, tokens=features.extras[_AMONG])


FAMILY = Family(
    name="LLaVA-OneVision",
    model_type="llava_onevision",
    adapter=LlavaOnevisionAdapter,
    tested="contract tests",
    cannot={
        "slicegpt": "its images hold features that no linear writes (image_newline), which slicing does not know",
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
