"""transformers' own processor of a checkpoint, and what the stock model says when it is asked the stock way.

Many processors want torchvision, which we do without, for the sake of videos alone; they get our image processor for
both, and for sound. The stock way is pixels and prompt in, one forward, logits of all positions.
"""

import inspect
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name
from transformers.processing_utils import ProcessorMixin

from hipp_prune.models.adapter import Adapter, Batch
from hipp_prune.models.processor import Processor

CANNOT = (ImportError, LookupError, OSError, TypeError, ValueError, AttributeError, RuntimeError)
"""What a stock processor raises where a package or a setting of its own is missing."""


def stock_processor(config: PreTrainedConfig, processor: Processor, source: Path | str) -> Any:
    """transformers' processor of a checkpoint, on our image processor and a copy of our tokenizer.

    Args:
        config: of the checkpoint.
        processor: of the checkpoint; some stock processors add tokens to their tokenizer, so that they get a copy.
        source: the folder or hub name it was loaded from.

    Raises:
        Exception: one of ``CANNOT``, where it cannot be had.
    """
    kind = _class(config, source)
    attributes = kind.get_attributes()
    parts = {name: processor.image_processor for name in attributes}
    parts["tokenizer"] = deepcopy(processor.tokenizer)
    stored, _ = kind.get_processor_dict(str(source))
    if set(attributes) - {"image_processor", "tokenizer"}:
        kind = type(kind.__name__, (kind,), {"check_argument_for_proper_class": _any_class})
    made: ProcessorMixin = kind.from_args_and_dict([parts[name] for name in attributes], stored)
    return made


def takes_videos(config: PreTrainedConfig) -> bool:
    """Whether transformers' processor of a family wants torchvision, for videos, and does not load without it."""
    kind: Any = PROCESSOR_MAPPING.get(type(config), None)
    return kind is not None and "video_processor" in kind.get_attributes()


def _class(config: PreTrainedConfig, source: Path | str) -> Any:
    """The class that the checkpoint's files name, or else its family's."""
    named = ProcessorMixin.get_processor_dict(str(source))[0].get("processor_class")
    kind: Any = None if named is None else processor_class_from_name(named)
    kind = PROCESSOR_MAPPING.get(type(config), None) if kind is None else kind
    if kind is None:
        raise LookupError(f"transformers has none of model type {config.model_type}")
    return kind


def _any_class(_: ProcessorMixin, __: str, part: object) -> type:
    """Lets an image processor stand where one of videos or of sound should: neither is ever given."""
    return type(part)


def processed_inputs(
    processor: Any, text: str, picture: Image.Image, *, special_tokens: bool
) -> dict[str, Any]:
    """Inputs of the stock forward as the stock processor makes them of a rendered question about a picture.

    Args:
        processor: the stock one.
        text: the question in its chat template.
        picture: what it is about.
        special_tokens: whether the tokenizer's own are to be added (the template wrote none).
    """
    made = processor(
        images=[picture.convert("RGB")], text=[text], return_tensors="pt", add_special_tokens=special_tokens
    )
    return dict(made)


def own_inputs(adapter: Adapter, batch: Batch, pictures: Sequence[Image.Image]) -> dict[str, Any]:
    """Inputs of the stock forward from the ids of one encoded question, and our pixels of the pictures it shows."""
    pixels = adapter.shown_pixels(pictures)
    ids = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    return {**batch.extras, **pixels, **ids}


def stock_logits(adapter: Adapter, inputs: Mapping[str, Any]) -> Tensor:
    """Logits after the last token of one question, float32 [vocabulary], by the plain forward over all positions."""
    taken = inspect.signature(adapter.model.forward).parameters
    moved = {name: torch.as_tensor(inputs[name]).to(adapter.device) for name in inputs if name in taken}
    moved["pixel_values"] = moved["pixel_values"].to(adapter.model.dtype)
    logits: Tensor = adapter.model(**moved, use_cache=False).logits
    return logits[0, -1].float()
