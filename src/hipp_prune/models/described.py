"""What a configuration says of a model without its weights: parameters, multiplications, tokens of a picture."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
from PIL import Image
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from hipp_prune.errors import HippPruneError
from hipp_prune.models.loading import describe_model, find_class, parse_dtype, read_config, without_weights
from hipp_prune.models.processor import Processor
from hipp_prune.models.structure import find_blocks, query_width

_PATCH = 14
"""Pixels a side of a patch, where a configuration does not say."""
_TEMPLATE, _CHARACTERS = 30, 4
"""Tokens of a chat template, and characters of a token, where there is no tokenizer."""


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """Sizes of a model, as its configuration has them."""

    family: str
    """transformers' ``model_type``."""
    num_blocks: int
    hidden_size: int
    neurons: int
    """MLP neurons of the widest block."""
    parameters: int
    """Of the whole model, shared ones once."""
    language_parameters: int
    """Of the language model with embeddings and head."""
    mlp_weights: int
    """Weights of all gate, up and down projections."""
    block_weights: int
    """Weights of all matrices in language blocks."""
    head_weights: int
    vision_weights: int
    """Weights of all matrices outside the language model."""
    query_width: int
    """Width of a block's query heads together."""
    patches_a_token: int
    """Patches of the vision tower behind each image token, ≥ 1."""
    number_bytes: int
    """Bytes a parameter, in the precision it is loaded in."""

    @property
    def mlp_share(self) -> float:
        """What MLPs are of the blocks' weights, in (0, 1)."""
        return self.mlp_weights / self.block_weights

    @property
    def bytes(self) -> int:
        """Bytes of all weights in memory."""
        return self.parameters * self.number_bytes

    def bytes_without(self, sparsity: float) -> int:
        """The same without a fraction of the MLP parameters, in [0, 1]."""
        return int(self.bytes - sparsity * self.mlp_weights * self.number_bytes)


def describe_sizes(folder: Path, *, dtype: str = "auto", trust_remote_code: bool = False) -> ModelSizes:
    """Sizes of the model that a folder's ``config.json`` describes; no weights need be there.

    Args:
        folder: with a configuration.
        dtype: the precision it is to be loaded in; ``auto`` for the configuration's own.
        trust_remote_code: whether code that comes with it may run.

    Raises:
        UnsupportedModelError, CheckpointError: see ``load_model``.
    """
    config = read_config(folder, trust_remote_code=trust_remote_code)
    model = describe_model(folder, config, trust_remote_code=trust_remote_code)
    blocks = find_blocks(model)
    layers = [model.get_submodule(block.name) for block in blocks]
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    mlps = [layer for block in blocks for layer in (block.gate, block.up, block.down)]
    language = _matrices([decoder]) + _matrices([head])
    precision = config.dtype if dtype == "auto" else parse_dtype(dtype)
    return ModelSizes(
        family=config.model_type,
        num_blocks=len(blocks),
        hidden_size=blocks[0].gate.in_features,
        neurons=max(block.gate.out_features for block in blocks),
        parameters=_parameters([model], config),
        language_parameters=_parameters([decoder, head], config),
        mlp_weights=_matrices(mlps),
        block_weights=_matrices(layers),
        head_weights=_matrices([head]),
        vision_weights=_matrices([model]) - language,
        query_width=query_width(decoder.config),
        patches_a_token=_merged(model),
        number_bytes=(precision if isinstance(precision, torch.dtype) else torch.float32).itemsize,
    )


def width_followers(config: PreTrainedConfig, model_class: type[PreTrainedModel]) -> tuple[str, ...]:
    """Parameters beside the language blocks that are as wide as the configuration says their MLPs are, by name.

    They (Idefics2's connector) would not fit a configuration that says the width of pruned blocks.

    Args:
        config: of the model.
        model_class: stock, or ours for blocks of uneven width.
    """
    shapes = []
    for more in (0, 1):
        changed = deepcopy(config)
        text = changed.get_text_config(decoder=True)
        width = text.to_dict()["intermediate_size"]
        if isinstance(width, list):  # a width a block: no other part can mean it
            return ()
        text.intermediate_size = width + more
        model = without_weights("the model", changed, model_class)
        own = tuple(f"{block.name}." for block in find_blocks(model))
        named = model.named_parameters()
        shapes.append({name: each.shape for name, each in named if not name.startswith(own)})
    before, after = shapes
    return tuple(name for name in before if before[name] != after[name])


def stored_followers(folder: Path) -> tuple[str, ...]:
    """``width_followers`` of a checkpoint.

    Raises:
        UnsupportedModelError, CheckpointError: see ``load_model``.
    """
    config = read_config(folder)
    return width_followers(config, find_class(folder, config, trust_remote_code=False))


def picture_tokens(folder: Path, size: tuple[int, int]) -> int:
    """Image tokens of a picture, by the checkpoint's image processor, or where there is none by its configuration.

    Args:
        folder: of the checkpoint.
        size: width and height of the picture.
    """
    config = read_config(folder)
    vision = config.vision_config
    patch = _side(getattr(vision, "patch_size", None), _PATCH)
    merge = int(getattr(vision, "spatial_merge_size", None) or 1)
    try:
        pixels = Processor.load(folder, config).pixels([Image.new("RGB", size)])
    except HippPruneError:
        side = _side(getattr(vision, "image_size", None), 0)
        width, height = (side, side) if side else size
        return max(1, round(width / patch / merge)) * max(1, round(height / patch / merge))
    if "image_grid_thw" in pixels:
        return int(pixels["image_grid_thw"].prod()) // merge**2
    shape = pixels["pixel_values"].shape
    return max(1, shape[:-3].numel() * (shape[-2] // patch) * (shape[-1] // patch) // _scale(config) ** 2)


def prompt_tokens(folder: Path, prompts: Sequence[str]) -> float:
    """Mean tokens of prompts in their chat template, without the picture's; guessed where there is no tokenizer."""
    try:
        processor = Processor.load(folder, read_config(folder))
    except HippPruneError:
        return _TEMPLATE + mean(len(prompt) / _CHARACTERS for prompt in prompts)
    return mean(len(processor.token_ids(processor.render(prompt, images=1))) for prompt in prompts)


def _matrices(modules: Sequence[nn.Module]) -> int:
    """Weights of what multiplies every token: linear layers and convolutions."""
    layers = {id(each): each for module in modules for each in module.modules()}.values()
    kinds = (nn.Linear, nn.Conv2d, nn.Conv3d)
    return sum(layer.weight.numel() for layer in layers if isinstance(layer, kinds))


def _parameters(modules: Sequence[nn.Module], config: PreTrainedConfig) -> int:
    """Parameters, a tied head counted once."""
    found = {id(each): each for module in modules for each in module.parameters()}
    count = sum(each.numel() for each in found.values())
    text = config.get_text_config(decoder=True)
    if getattr(config, "tie_word_embeddings", False) or getattr(text, "tie_word_embeddings", False):
        tables = [each for each in found.values() if each.ndim == 2 and each.shape[0] == text.vocab_size]
        count -= tables[0].numel() * (len(tables) > 1) if tables else 0
    return count


def _merged(model: PreTrainedModel) -> int:
    merge = int(getattr(model.config.vision_config, "spatial_merge_size", None) or 1)
    return max(merge, _scale(model.config)) ** 2


def _scale(config: PreTrainedConfig) -> int:
    return int(getattr(config, "scale_factor", None) or 1)


def _side(size: object, otherwise: int) -> int:
    """One side of a square that a configuration names as a number or as two."""
    if isinstance(size, (list, tuple)):
        size = size[0]
    return int(size) if isinstance(size, int) else otherwise
