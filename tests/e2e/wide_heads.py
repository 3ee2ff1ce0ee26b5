"""The embedded models with attention heads twice as wide, and the same answers.

Their heads have 16 numbers. vLLM's attention on a CPU takes 32, 64 and some more, and for Qwen2 the hidden size divided
by the heads. So the hidden size doubles too: everything is filled up with zeros, the norms, the scale of attention and
the rotations are made up for, and what the model says stays what it learned.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import pad

from hipp_prune.models.loading import local_folder

PROJECTOR = ("multi_modal_projector.", "visual.merger.mlp.2.")
VISION = ("vision_tower.", "visual.")


def write_wide_heads(model: str, out: Path) -> None:
    """Writes the embedded model ``model`` with heads of 32 numbers and a hidden size of 128 to ``out``."""
    shutil.copytree(local_folder(model), out)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    text = config["text_config"]
    heads = {"q_proj": text["num_attention_heads"], "k_proj": text["num_key_value_heads"]}
    heads |= {"v_proj": heads["k_proj"], "o_proj": heads["q_proj"]}
    tensors = load_file(out / "model.safetensors")
    wide = {name: widened(name, tensor, heads) for name, tensor in tensors.items()}
    save_file(wide, out / "model.safetensors", metadata={"format": "pt"})
    text["hidden_size"] *= 2
    text["rms_norm_eps"] /= 2  # the mean over twice as many numbers, half of them zeros, is half as large
    if "head_dim" in text:
        text["head_dim"] *= 2
    if "vision_config" in config and "out_hidden_size" in config["vision_config"]:
        config["vision_config"]["out_hidden_size"] *= 2
    rotations = text["rope_parameters"]
    if "mrope_section" in rotations:
        rotations["mrope_section"] = [2 * part for part in rotations["mrope_section"]]
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")


def widened(name: str, tensor: Tensor, heads: dict[str, int]) -> Tensor:
    """One tensor of the checkpoint, as the wider model has it; ``heads`` counts those of each projection."""
    if name.startswith(PROJECTOR):
        rows = double(tensor, 0)
        return double(rows, 1) if name.endswith("linear_2.weight") else rows
    if name.startswith(VISION):
        return tensor
    if "norm.weight" in name:
        return double(tensor, 0) / 2**0.5
    layer, kind = name.split(".")[-2:]
    if layer in ("embed_tokens", "lm_head", "gate_proj", "up_proj"):
        return double(tensor, 1)
    if layer == "down_proj":
        return double(tensor, 0)
    if layer == "o_proj":
        return double(spread(tensor.T, heads[layer]).T, 0)
    scale = 2**0.5 if layer == "q_proj" else 1.0  # attention divides by the root of the width
    rows = scale * spread(tensor, heads[layer])
    return rows if kind == "bias" else double(rows, 1)


def double(tensor: Tensor, axis: int) -> Tensor:
    """As many zeros behind what is there."""
    after = [0, 0] * (tensor.ndim - 1 - axis) + [0, tensor.shape[axis]]
    return pad(tensor, after).contiguous()


def spread(rows: Tensor, heads: int) -> Tensor:
    """Heads of twice as many rows; rotation 2j of the wider head turns as rotation j did.

    Args:
        rows: [heads × width, ...], the two halves of a head rotating together.
        heads: how many they are.
    """
    halves = rows.reshape(heads, 2, -1, 1, *rows.shape[1:])
    return torch.cat([halves, torch.zeros_like(halves)], dim=3).reshape(-1, *rows.shape[1:])
