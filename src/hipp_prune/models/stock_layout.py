"""Families whose pictures transformers' own processor lays out: all outside the table, and some inside.

Marks around a picture, tiles with their numbers, a placeholder that is not the image token: all this a stock processor
writes into the prompt while it has the picture at hand. We encode a picture once and forget its pixels. So what its
image processor made of it is kept in small (big tensors by their shape alone), and given again with every prompt.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from hipp_prune.errors import ImageError, QuestionError, UnsupportedModelError
from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.models.processor import Processor
from hipp_prune.models.stock import CANNOT
from hipp_prune.questions.question import Question

_KEPT, _SHAPE = "processed.", "shape."
_LARGE = 1024
"""Elements beyond which a tensor is pixels, or a mask of them."""


class _Repeating:
    """An image processor that makes something of a picture, or repeats what it made before."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.outputs: dict[str, Any] | None = None

    def __call__(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        if self.outputs is None:
            self.outputs = dict(self._processor(*arguments, **options))
        return dict(self.outputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)


class StockLayoutAdapter(Adapter):
    """A family whose layout is the stock processor's of its checkpoint; questions are asked one by one."""

    _takes_several = False

    def __init__(self, model: PreTrainedModel, processor: Processor) -> None:
        """Wraps a loaded model, whose ``processor`` has the stock one.

        Raises:
            UnsupportedModelError: naming what the model or its chat template lacks, or if there is no stock processor.
        """
        if processor.stock is None:
            raise UnsupportedModelError(
                f"{model.config.model_type}: transformers' own processor, which lays out this family's pictures, "
                "cannot be made here; install the torchvision that belongs to your torch (without a GPU: both from "
                "https://download.pytorch.org/whl/cpu)"
            )
        self._stock = copy(processor.stock)
        self._repeating = _Repeating(processor.image_processor)
        self._stock.image_processor = self._repeating
        super().__init__(model, processor)
        marks = set(getattr(self._stock, "image_token_ids", None) or ()) - {self._image_token, None}
        self._marker_ids = torch.tensor(sorted(marks | set(self._marker_ids.tolist())), dtype=torch.long)

    def _check_template(self, images: int = 1) -> None:
        text = self.processor.render("Is it so?", images=images)
        count = text.count(self._placeholder)
        if count != images:
            raise UnsupportedModelError(
                f"the chat template places {count} images ({self._placeholder}) for one, expected exactly one; the "
                f"checkpoint needs the chat template of its vision-language model, not a text-only one"
            )

    @property
    def _placeholder(self) -> str:
        """What the template writes for a picture."""
        return str(
            getattr(self._stock, "image_placeholder_token", None)
            or getattr(self._stock, "image_token", None)
            or self.processor.tokenizer.convert_ids_to_tokens(self._image_token)
        )

    def _pixels(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        inputs = {key: value.to(self.device) for key, value in self.shown_pixels(images).items()}
        return {**inputs, "pixel_values": inputs["pixel_values"].to(self.model.dtype)}

    def shown_pixels(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """What the stock processor has its image processor make of the one picture that a question shows.

        Raises:
            ImageError: if it cannot.
        """
        self._repeating.outputs = None
        try:
            text = self.processor.render("Is it so?", images=1)
            self._stock(images=[images[0].convert("RGB")], text=[text], return_tensors="pt")
        except CANNOT as error:
            size = f"{images[0].width}×{images[0].height}"
            what = str(error).strip().split("\n", maxsplit=1)[0]
            raise ImageError(f"an image of size {size} cannot be prepared: {what}") from error
        made: dict[str, Any] = self._repeating.outputs or {}
        return {key: torch.as_tensor(value) for key, value in made.items()}

    def _encode_chunk(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        (features,) = super()._encode_chunk(images)
        made = self._repeating.outputs or {}
        return [replace(features, extras={**features.extras, **_kept(made)})]

    def _token_ids(self, question: Question, features: Mapping[Path, ImageFeatures]) -> list[int]:
        self.check_number(question)
        if not question.images:
            return super()._token_ids(question, features)
        text = self.processor.render(question.prompt, images=1)
        if text.count(self._placeholder) != 1:
            raise QuestionError(
                f"question {question.id}: the prompt contains the model's own image token; remove it, the image is "
                f"placed by the chat template"
            )
        self._repeating.outputs = _repeated(features[question.images[0]].extras)
        special = not self.processor.begins_with_bos(text)
        made = self._stock(
            images=[Image.new("RGB", (64, 64))], text=[text], return_tensors="pt", add_special_tokens=special
        )
        ids: list[int] = made["input_ids"][0].tolist()
        return ids


def _kept(made: Mapping[str, Any]) -> dict[str, Tensor]:
    """What an image processor made, small enough to be kept with a picture."""
    kept = {}
    for name, value in made.items():
        tensor = torch.as_tensor(value).cpu()
        if tensor.numel() > _LARGE:
            kept[f"{_KEPT}{_SHAPE}{name}"] = torch.tensor(tensor.shape)
        else:
            kept[f"{_KEPT}{name}"] = tensor
    return kept


def _repeated(extras: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse; pixels are zeros of the same shape, which take no memory."""
    repeated = {}
    for key, value in extras.items():
        name = key.removeprefix(_KEPT)
        if name == key:
            continue
        if name.startswith(_SHAPE):
            repeated[name.removeprefix(_SHAPE)] = torch.zeros(1).expand(value.tolist())
        else:
            repeated[name] = value
    return repeated
