"""Checkpoints of stock architectures in any size, with random weights: all that timing needs, no download."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.utils.logging import disable_progress_bar

from hipp_prune.models.loading import local_folder

ShapeName = Literal["small-llava", "small-qwen", "wide-llava", "llava-1.5-7b", "qwen2.5-vl-3b"]
_TOKENS = ("image_token_id", "image_token_index", "video_token_id", "vision_start_token_id")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of one model."""

    toy: Literal["toy-llava", "toy-qwen2.5-vl"]
    """The embedded model whose tokenizer and chat template it borrows."""
    hidden: int
    neurons: int
    blocks: int
    heads: int
    kv_heads: int
    vocabulary: int
    side: int
    """An image is side × side tokens."""
    vision_hidden: int
    vision_neurons: int
    vision_blocks: int
    vision_heads: int

    @property
    def pixels(self) -> int:
        """Side of a picture: patches of 14 pixels, of which Qwen merges 2 × 2 into a token."""
        return self.side * (28 if self.toy == "toy-qwen2.5-vl" else 14)


SHAPES: dict[ShapeName, Shape] = {
    "small-llava": Shape(
        toy="toy-llava", hidden=512, neurons=1408, blocks=4, heads=8, kv_heads=8, vocabulary=512, side=12,
        vision_hidden=128, vision_neurons=512, vision_blocks=4, vision_heads=4,
    ),
    "small-qwen": Shape(
        toy="toy-qwen2.5-vl", hidden=384, neurons=2048, blocks=4, heads=6, kv_heads=2, vocabulary=512, side=12,
        vision_hidden=64, vision_neurons=128, vision_blocks=2, vision_heads=2,
    ),
    "wide-llava": Shape(
        toy="toy-llava", hidden=1280, neurons=5120, blocks=2, heads=10, kv_heads=10, vocabulary=512, side=12,
        vision_hidden=64, vision_neurons=128, vision_blocks=2, vision_heads=2,
    ),
    "llava-1.5-7b": Shape(
        toy="toy-llava", hidden=4096, neurons=11008, blocks=32, heads=32, kv_heads=32, vocabulary=32064, side=24,
        vision_hidden=1024, vision_neurons=4096, vision_blocks=24, vision_heads=16,
    ),
    "qwen2.5-vl-3b": Shape(
        toy="toy-qwen2.5-vl", hidden=2048, neurons=11008, blocks=36, heads=16, kv_heads=2, vocabulary=151936, side=12,
        vision_hidden=1280, vision_neurons=3420, vision_blocks=32, vision_heads=16,
    ),
}  # fmt: skip
"""The proportions of the public models, and the public models' own."""


def build(shape: Shape, folder: Path, *, device: str, dtype: str, seed: int = 0) -> None:
    """Writes a checkpoint; tokenizer and processor files come from the embedded model."""
    toy = local_folder(shape.toy)
    model_class, config = _llava(shape) if shape.toy == "toy-llava" else _qwen(shape)
    toy_config = json.loads((toy / "config.json").read_text())
    for key in set(_TOKENS).intersection(toy_config):
        setattr(config, key, toy_config[key])
    torch.manual_seed(seed)
    with torch.device(device):
        torch.set_default_dtype(getattr(torch, dtype))
        model = model_class(config)
        torch.set_default_dtype(torch.float32)
    for parameter in model.parameters():
        if parameter.ndim > 1:  # so that every layer moves the logits
            parameter.data.normal_(std=parameter[0].numel() ** -0.5)
    disable_progress_bar()
    model.save_pretrained(folder)
    for path in toy.iterdir():
        copied = path.suffix != ".safetensors" and path.name != "processor_config.json"
        if copied and not (folder / path.name).exists():
            shutil.copy(path, folder)
    _enlarge_pictures(folder / "preprocessor_config.json", shape)


def _text(shape: Shape) -> dict[str, object]:
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.neurons,
        "num_hidden_layers": shape.blocks,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 4096,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def _llava(shape: Shape) -> tuple[type[PreTrainedModel], LlavaConfig]:
    vision = {
        "model_type": "clip_vision_model",
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_neurons,
        "num_hidden_layers": shape.vision_blocks,
        "num_attention_heads": shape.vision_heads,
        "image_size": shape.pixels,
        "patch_size": 14,
    }
    text = {**_text(shape), "model_type": "llama"}
    return LlavaForConditionalGeneration, LlavaConfig(
        text_config=text, vision_config=vision, vision_feature_layer=-2
    )


def _qwen(shape: Shape) -> tuple[type[PreTrainedModel], Qwen2_5_VLConfig]:
    sections = [shape.hidden // shape.heads // 8 * part for part in (1, 1.5, 1.5)]
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [int(part) for part in sections]}
    vision = {
        "depth": shape.vision_blocks,
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_neurons,
        "num_heads": shape.vision_heads,
        "out_hidden_size": shape.hidden,
        "window_size": 112,
        "fullatt_block_indexes": list(range(7, shape.vision_blocks, 8)) or [shape.vision_blocks - 1],
    }
    text = {**_text(shape), "rope_parameters": rope, "tie_word_embeddings": True}
    return Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True
    )


def _enlarge_pictures(path: Path, shape: Shape) -> None:
    """Has the image processor make every picture ``shape.side`` tokens a side."""
    stored = json.loads(path.read_text())
    if shape.toy == "toy-qwen2.5-vl":
        area = shape.pixels**2
        stored |= {"size": {"shortest_edge": area, "longest_edge": area}, "patch_size": 14}
    else:
        size = {"height": shape.pixels, "width": shape.pixels}
        stored |= {"size": size, "crop_size": size}
    path.write_text(json.dumps(stored))
