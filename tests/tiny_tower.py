"""A convolutional tower of two random blocks that stands in for EfficientNet-Lite2, which takes a package."""

import torch
from transformers import EfficientNetConfig, EfficientNetModel


def tiny_tower() -> EfficientNetModel:
    """Makes a map of 3 × 3 places, 320 channels each, of a square of 24 pixels."""
    torch.manual_seed(0)
    config = EfficientNetConfig(
        image_size=24, width_coefficient=0.25, depth_coefficient=1.0, kernel_sizes=[3, 3], in_channels=[32, 32],
        out_channels=[32, 32], strides=[2, 2], num_block_repeats=[1, 1], expand_ratios=[1, 2], hidden_dim=320,
        hidden_size=320, hidden_act="relu6", initializer_range=0.3,
    )  # fmt: skip
    return EfficientNetModel(config).eval()
