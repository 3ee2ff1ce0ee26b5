"""What the stock model says when it is asked the stock way: pixels and prompt in, one forward, logits of all positions.

transformers' own processor lays out the prompt where it can be had. Many want torchvision, which we do without; then
our ids and pixels go through the stock forward, which leaves the layout of a picture's tokens unchecked.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoVideoProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.processing_utils import ProcessorMixin

from hipp_prune.models.adapter import Adapter, Batch

CANNOT = (ImportError, LookupError, OSError, TypeError, ValueError, AttributeError, RuntimeError)
"""What a stock processor raises where a package or a setting of its own is missing."""


def stock_processor(adapter: Adapter, source: Path | str) -> ProcessorMixin:
    """transformers' processor of a checkpoint, on our tokenizer and image processor.

    Args:
        adapter: the model.
        source: the folder or hub name it was loaded from.

    Raises:
        Exception: one of ``CANNOT``, where it cannot be had.
    """
    kind: Any = PROCESSOR_MAPPING[type(adapter.model.config)]
    parts = {"tokenizer": adapter.processor.tokenizer, "image_processor": adapter.processor.image_processor}
    if "video_processor" in kind.get_attributes():
        parts["video_processor"] = AutoVideoProcessor.from_pretrained(str(source))
    stored, _ = kind.get_processor_dict(str(source))
    made: ProcessorMixin = kind.from_args_and_dict([parts[name] for name in kind.get_attributes()], stored)
    return made


def processed_inputs(
    adapter: Adapter, processor: ProcessorMixin, prompt: str, picture: Image.Image
) -> dict[str, Any]:
    """Inputs of the stock forward as the stock processor makes them of a question about a picture.

    Args:
        adapter: writes the prompt as its family does.
        processor: the checkpoint's.
        prompt: bare text of the question.
        picture: RGB.
    """
    text = adapter.processor.render(prompt, with_image=True)
    return dict(processor(images=[picture.convert("RGB")], text=[text], return_tensors="pt"))


def own_inputs(adapter: Adapter, batch: Batch, picture: Image.Image) -> dict[str, Any]:
    """Inputs of the stock forward from the ids of one encoded question, and our pixels."""
    pixels = adapter.processor.pixels([picture], **adapter._image_options)
    ids = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    return {**pixels, **batch.extras, **ids}


def stock_logits(adapter: Adapter, inputs: Mapping[str, Any]) -> Tensor:
    """Logits after the last token of one question, float32 [vocabulary], by the plain forward over all positions."""
    taken = inspect.signature(adapter.model.forward).parameters
    moved = {name: torch.as_tensor(inputs[name]).to(adapter.device) for name in inputs if name in taken}
    moved["pixel_values"] = moved["pixel_values"].to(adapter.model.dtype)
    logits: Tensor = adapter.model(**moved, use_cache=False).logits
    return logits[0, -1].float()
