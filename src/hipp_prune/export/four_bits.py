"""4-bit weights by bitsandbytes: its NF4 with scales that are quantised themselves."""

from importlib import import_module

import torch
from torch import Tensor
from transformers import BitsAndBytesConfig

from hipp_prune.export.quantised import Quantised, matrices
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.fused import SplitMlp

BLOCK = 64
"""Weights that share a scale."""


def pack(adapter: Adapter, *, progress: Progress | None = None) -> Quantised:
    """Rounds the language blocks' matrices to NF4; no question is needed, and the model stays as it is.

    Args:
        adapter: the model.
        progress: told (matrices done, matrices).
    """
    functional = import_module("bitsandbytes.functional")
    tensors: dict[str, dict[str, Tensor]] = {}
    found = _weights(adapter)
    for done, (name, weight) in enumerate(found.items(), start=1):
        if weight is None:
            tensors[name] = {}
            continue
        packed, state = functional.quantize_4bit(
            weight, blocksize=BLOCK, compress_statistics=True, quant_type="nf4"
        )
        about = {f"weight.{key}": tensor for key, tensor in state.as_dict(packed=True).items()}
        tensors[name] = {"weight": packed, **about}
        if progress is not None:
            progress(done, len(found))
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=adapter.model.dtype,
        llm_int8_skip_modules=_outside(adapter),
    )
    return Quantised(tensors=tensors, config=config.to_dict())


def _weights(adapter: Adapter) -> dict[str, Tensor | None]:
    """The matrices, by name: fused projections whole in place of their gates, since all scales are scaled together."""
    weights: dict[str, Tensor | None] = {
        f"{name}.weight": linear.weight.data for name, linear in matrices(adapter).items()
    }
    for block in (block for block in adapter.blocks if isinstance(block.mlp, SplitMlp)):
        gate, up = (f"{block.name}.mlp.{half}.weight" for half in ("gate_proj", "up_proj"))
        weights |= {gate: torch.cat([block.gate.weight.data, block.up.weight.data]), up: None}
    return weights


def _outside(adapter: Adapter) -> list[str]:
    """The parts of the model that hold no language block: their matrices stay as they are."""
    inside = f"{adapter.blocks[0].name}."
    body = next(
        iter(name for name, part in adapter.model.named_children() if part is adapter.model.base_model), ""
    )
    prefix = f"{body}." if body else ""
    below = [f"{prefix}{name}" for name, _ in adapter.model.base_model.named_children()]
    beside = [name for name, part in adapter.model.named_children() if part is not adapter.model.base_model]
    return [name for name in (*below, *beside) if not inside.startswith(f"{name}.")]
