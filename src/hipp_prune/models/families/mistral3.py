"""Mistral Small 3.1 and later: a Pixtral tower, whose images are rows of patches with a mark behind each row."""

from typing import Any

from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.models.family import NO_UNEVEN_GRAPH, NO_VISION_GRAPH, Family


class Mistral3Adapter(Adapter):
    """``[IMG]`` in the prompt becomes rows of tokens divided by ``[IMG_BREAK]`` and closed by ``[IMG_END]``."""

    _markers = ("[IMG_BREAK]", "[IMG_END]")
    _packs = True

    @property
    def _side(self) -> int:
        """Pixels a side of what becomes one token: patches are merged in squares."""
        return int(self.model.config.vision_config.patch_size * self.model.config.spatial_merge_size)

    @property
    def _image_options(self) -> dict[str, Any]:
        return {"patch_size": {"height": self._side, "width": self._side}}

    def _image_tokens(self, features: ImageFeatures) -> list[int]:
        vocabulary = self.processor.tokenizer.get_vocab()
        height, width = features.extras["image_sizes"][0].tolist()
        row = [*[self._image_token] * (width // self._side), vocabulary["[IMG_BREAK]"]]
        return [*(row * (height // self._side))[:-1], vocabulary["[IMG_END]"]]


FAMILY = Family(
    name="Mistral Small 3.1",
    model_type="mistral3",
    adapter=Mistral3Adapter,
    tested="contract tests",
    cannot={
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
