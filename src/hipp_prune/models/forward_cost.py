"""What the language model's forward pass costs by block width: FLOPs counted, seconds measured on this machine.

The vision tower is left out: no plan changes it, and a picture is encoded once for all questions about it.
"""

import platform
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from hipp_prune.models.adapter import Adapter
from hipp_prune.models.structure import Block, query_width
from hipp_prune.plans.costs import CostTable, rising

_WIDTHS = 9
"""Widths measured: 0, 1/8, …, 1 of a block's neurons."""
_BLOCKS = 4
"""Blocks of one width that are timed in turn: a single one would stay in the cache, unlike in a forward pass."""
_ROUNDS = 7
"""Times each is measured; the fastest counts, since whatever else the machine does only adds."""


def flops_table(adapter: Adapter, tokens: float) -> CostTable:
    """FLOPs of one question's forward pass: a multiplication and an addition a weight and token.

    Attention multiplies queries with all keys, and scores with all values, causal or not; the head runs at the last
    token only; norms and activations are not counted. ``torch.utils.flop_counter`` counts the same.

    Args:
        adapter: the dense model.
        tokens: T, tokens of the prompt, image tokens included.
    """
    neurons = [_weights([block.gate, block.up, block.down]) for block in adapter.blocks]
    others = _weights([adapter.model.get_submodule(block.name) for block in adapter.blocks]) - sum(neurons)
    scores = 4 * tokens**2 * query_width(adapter.model.get_decoder().config) * len(adapter.blocks)
    head = _weights([adapter.model.get_output_embeddings()])
    return CostTable(
        constant=float(2 * tokens * others + scores + 2 * head),
        units=tuple((0.0, float(2 * tokens * weights)) for weights in neurons),
        conditions=f"a prompt of {tokens:.0f} tokens",
    )


def latency_table(adapter: Adapter, *, tokens: int, batch: int) -> CostTable:
    """Seconds of a forward pass over ``batch`` questions of ``tokens`` tokens, measured here and now.

    MLPs are timed on a grid of widths, in turn with the whole model; a narrower one that seems slower is noise and is
    averaged out. The constant is what the MLPs do not explain.
    """
    blocks_of = {
        width: [block for block in adapter.blocks if block.gate.out_features == width][:_BLOCKS]
        for width in {block.gate.out_features for block in adapter.blocks}
    }
    states = torch.randn(batch, tokens, adapter.shape.hidden_size).to(
        adapter.model.device, adapter.model.dtype
    )
    seconds = {width: np.full(_WIDTHS, np.inf) for width in blocks_of}
    devices = {block.gate.weight.device for block in adapter.blocks}
    whole = np.inf
    with torch.inference_mode():
        _forward(adapter, states)
        for _ in range(_ROUNDS):
            whole = min(whole, _time(partial(_forward, adapter, states), devices))
            for width, blocks in blocks_of.items():
                for index in range(_WIDTHS):
                    kept = round(width * index / (_WIDTHS - 1))
                    spent = _time(partial(_narrow_mlps, blocks, kept, states), devices)
                    seconds[width][index] = min(seconds[width][index], spent / len(blocks))
    curves = {width: tuple(rising(measured).tolist()) for width, measured in seconds.items()}
    units = tuple(curves[block.gate.out_features] for block in adapter.blocks)
    return CostTable(
        constant=max(0.0, whole - sum(curve[-1] for curve in units)),
        units=units,
        conditions=_conditions(adapter, tokens, batch),
    )


def _weights(modules: list[nn.Module]) -> int:
    """Weights of the matrices in ``modules``."""
    layers = [layer for module in modules for layer in module.modules() if isinstance(layer, nn.Linear)]
    return sum(layer.weight.numel() for layer in layers)


def _forward(adapter: Adapter, states: Tensor) -> None:
    output = adapter.model.get_decoder()(inputs_embeds=states, use_cache=False).last_hidden_state
    adapter.model.get_output_embeddings()(output[:, -1])


def _narrow_mlps(blocks: list[Block], kept: int, states: Tensor) -> None:
    """Runs MLPs with their first ``kept`` neurons."""
    for block in blocks:
        weights = {"down_proj.weight": block.down.weight[:, :kept]}
        for name, projection in (("gate_proj", block.gate), ("up_proj", block.up)):
            weights[f"{name}.weight"] = projection.weight[:kept]
            if projection.bias is not None:
                weights[f"{name}.bias"] = projection.bias[:kept]
        functional_call(block.mlp, weights, (states.to(block.gate.weight.device),))


def _time(work: Callable[[], None], devices: set[torch.device]) -> float:
    """Seconds until ``work`` is done on all its devices; on a CPU without those that other programs had it.

    A whole forward pass takes longer than the MLPs alone, so that it is interrupted in every round where they are not,
    and would seem to be less of MLPs than it is. Threads that work at once spend more processor time than passes.
    """
    start, spent = time.perf_counter(), time.process_time()
    work()
    if all(device.type == "cpu" for device in devices):
        return min(time.perf_counter() - start, time.process_time() - spent)
    for device in devices:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _conditions(adapter: Adapter, tokens: int, batch: int) -> str:
    model = adapter.model
    if model.device.type == "cuda":
        machine = torch.cuda.get_device_name(model.device)
    else:
        machine = f"{platform.machine()} {model.device.type}, {torch.get_num_threads()} threads"
    dtype = str(model.dtype).removeprefix("torch.")
    return f"{machine}, {dtype}, {batch} questions of {tokens} tokens"
