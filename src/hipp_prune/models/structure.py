"""What a stock model looks like inside: its language blocks, its sizes, and what it lacks if it is not supported."""

import hashlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models.uneven import residual_width
from hipp_prune.plans.space import ModelShape

_SAMPLES = 64
"""Weights of each tensor that enter the fingerprint, evenly spread."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """The parts of one language block that pruning and calibration touch (live references, not copies)."""

    mlp: nn.Module
    """Gated MLP: down(act(gate(x)) ⊙ up(x))."""
    gate: nn.Linear
    """Weights [neurons, hidden]."""
    up: nn.Linear
    """Weights [neurons, hidden]."""
    down: nn.Linear
    """Weights [hidden, neurons]."""
    attention: nn.Module | None
    """Self-attention, whose ``config._attn_implementation`` selects the attention function; None where a block mixes
    its tokens otherwise (the linear attention of Qwen3.5)."""
    name: str
    """Module path of the block inside the model, e.g. ``model.language_model.layers.3``."""


def find_blocks(model: PreTrainedModel) -> tuple[Block, ...]:
    """The blocks of the language backbone, first to last; fused projections must have been split (``fused``).

    Those of a quantised model are not: its gates and ups here are empty, and say no more than their size.

    Raises:
        UnsupportedModelError: naming the first block that lacks a gate/up/down MLP.
    """
    layers = getattr(model.get_decoder(), "layers", None)
    if layers is None or not len(layers):
        raise _lacks(model, "a language backbone with a list of `layers`")
    names = {id(module): name for name, module in model.named_modules()}
    return tuple(_block(model, layer, names[id(layer)]) for layer in layers)


def _block(model: PreTrainedModel, layer: nn.Module, name: str) -> Block:
    mlp = getattr(layer, "mlp", None)
    if mlp is None:
        raise _lacks(model, f"an `mlp` in {name}")
    if any(hasattr(owner, part) for owner in (mlp, layer) for part in ("experts", "router", "shared_expert")):
        raise _lacks(
            model, f"a dense MLP in {name}: it is a mixture of experts, which has no single set of neurons"
        )
    parts = [getattr(mlp, part, None) for part in ("gate_proj", "up_proj", "down_proj")]
    if isinstance(fused := getattr(mlp, "gate_up_proj", None), nn.Linear):
        parts[:2] = [_half(fused)] * 2
    linears = [part for part in parts if isinstance(part, nn.Linear)]
    if len(linears) != 3:
        raise _lacks(model, f"a gated MLP (`gate_proj`, `up_proj`, `down_proj` as nn.Linear) in {name}")
    gate, up, down = linears
    attention = getattr(layer, "self_attn", None)
    return Block(mlp=mlp, gate=gate, up=up, down=down, attention=attention, name=name)


def _half(fused: nn.Linear) -> nn.Linear:
    """Half of a fused projection's rows, without weights."""
    size, bias = (fused.in_features, fused.out_features // 2), fused.bias is not None
    return nn.Linear(*size, bias=bias, device="meta")


def check_class(model_class: type[PreTrainedModel]) -> None:
    """Refuses a model class whose forward cannot be given encoded images, before any weight is read.

    Raises:
        UnsupportedModelError: if ``forward`` has no ``mm_encoder_outputs``.
    """
    if "mm_encoder_outputs" not in inspect.signature(model_class.forward).parameters:
        raise UnsupportedModelError(
            f"{model_class.__name__} is not supported: its forward does not take encoded images "
            f"(`mm_encoder_outputs`), so image features cannot be computed once and reused for every plan"
        )


def compares_neurons(block: Block) -> bool:
    """Whether a block's neurons speak only where their gate stands out among all of the block's (Gemma 3n).

    A neuron that leaves changes for the others what they stand out from, as it does when the authors of such models cut
    a smaller one out of a larger; one that stays as zeros would still be among them.
    """
    return float(getattr(block.mlp, "activation_sparsity", 0.0)) > 0


def check_structure(model: PreTrainedModel) -> None:
    """Refuses a model that lacks what an adapter needs; its weights need not be there.

    Raises:
        UnsupportedModelError: naming what it lacks.
    """
    blocks = find_blocks(model)
    if all(block.attention is None for block in blocks):
        raise _lacks(model, f"self-attention (`self_attn`) in {blocks[0].name} and in all other blocks")
    image_token_id(model.config)
    image_arguments(model)


def check_prunable(model: PreTrainedModel) -> None:
    """Refuses a sliced model (SliceGPT): its blocks read and write different numbers of coordinates.

    Raises:
        UnsupportedModelError: if it is one.
    """
    width = residual_width(model.config)
    if width is not None:
        raise UnsupportedModelError(
            f"the residual stream of this {model.config.model_type} model was sliced to {width} coordinates; expected "
            "one that was not, since a sliced model can be evaluated and recovered, but not pruned further"
        )


def image_token_id(config: PreTrainedConfig) -> int:
    """The token that stands for an image feature.

    Raises:
        UnsupportedModelError: if the configuration names none.
    """
    for name in ("image_token_id", "image_token_index"):
        token = getattr(config, name, None)
        if isinstance(token, int):
            return token
    raise UnsupportedModelError(
        f"{config.model_type} is not supported: its configuration names no image token (`image_token_id`)"
    )


def forward_arguments(model: PreTrainedModel) -> frozenset[str]:
    """Named arguments of the forward of the model below the head."""
    return frozenset(inspect.signature(model.base_model.forward).parameters)


def end_tokens(model: PreTrainedModel) -> tuple[int, ...]:
    """The tokens at which the stock ``generate`` ends an answer; none where the checkpoint names none."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    if ends is None:
        ends = getattr(model.config.get_text_config(), "eos_token_id", None)
    return () if ends is None else tuple(ends) if isinstance(ends, list) else (int(ends),)


def takes_any_mask(model: PreTrainedModel) -> bool:
    """Whether a caller's own mask [B, 1, T, T] reaches every block's attention and says all there is to say.

    Stock models pass such a mask on as it is: a block with a sliding window would silently lose its window, and
    attention functions other than these two do not read it.
    """
    text = model.get_decoder().config
    whole = all(kind == "full_attention" for kind in getattr(text, "layer_types", None) or ())
    return (
        whole
        and getattr(text, "sliding_window", None) is None
        and text._attn_implementation in ("sdpa", "eager")
        and "token_type_ids" not in forward_arguments(model)
    )


def image_arguments(model: PreTrainedModel) -> frozenset[str]:
    """Named arguments of ``get_image_features``.

    Raises:
        UnsupportedModelError: if the model has no such method.
    """
    method = getattr(model.base_model, "get_image_features", None)
    if method is None:
        raise _lacks(model, "`get_image_features`")
    return frozenset(inspect.signature(method).parameters)


def measure(model: PreTrainedModel, blocks: tuple[Block, ...]) -> ModelShape:
    """Counts parameters, shared ones once, and hashes the weights as they are now.

    A sliced model's last block differs from the others in what a neuron weighs; the first one's counts.

    Raises:
        UnsupportedModelError: if blocks of a model that is not sliced differ in more than their number of neurons.
    """
    alike = blocks if residual_width(model.config) is None else blocks[:1]
    per_neuron = {_neuron_parameters(block) for block in alike}
    hidden = {block.gate.in_features for block in blocks}
    if len(per_neuron) != 1 or len(hidden) != 1:
        raise _lacks(model, "blocks of one hidden size, all with or all without biases")
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    layers = [model.get_submodule(block.name) for block in blocks]
    return ModelShape(
        family=model.config.model_type,
        fingerprint=fingerprint(model),
        hidden_size=hidden.pop(),
        neurons=tuple(block.gate.out_features for block in blocks),
        neuron_parameters=per_neuron.pop(),
        block_parameters=_count(layers),
        language_parameters=_count([decoder, head]),
        total_parameters=_count([model]),
    )


def query_width(text: PreTrainedConfig) -> int:
    """Width of a block's query heads together; the mean, where blocks differ in it.

    Args:
        text: settings of the language model.
    """
    widths = [
        own.num_attention_heads
        * (getattr(own, "head_dim", None) or own.hidden_size // own.num_attention_heads)
        for own in text.per_layer_config
    ]
    return int(sum(widths) // len(widths))


def fingerprint(model: PreTrainedModel) -> str:
    """16 hex digits over class name, tensor names and shapes, and 64 weights of each tensor as float32.

    Weights stored in 16 bits give the same fingerprint when loaded in 32.
    """
    digest = hashlib.sha256(type(model).__name__.encode())
    for name, parameter in model.named_parameters():
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        flat = parameter.detach().reshape(-1)
        sample = flat[:: max(1, len(flat) // _SAMPLES)][:_SAMPLES]
        digest.update(sample.to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()[:16]


def _neuron_parameters(block: Block) -> int:
    biases = sum(projection.bias is not None for projection in (block.gate, block.up))
    return block.gate.in_features + block.up.in_features + block.down.out_features + biases


def _count(modules: Iterable[nn.Module]) -> int:
    """Parameters, shared ones once; of a quantised matrix those that it stands for."""
    sizes: dict[int, int] = {}
    for part in (part for module in modules for part in module.modules()):
        own = {id(parameter): parameter.numel() for parameter in part.parameters(recurse=False)}
        if isinstance(part, nn.Linear) and is_packed(part):
            own = {id(part): part.in_features * part.out_features}
        sizes |= own
    return sum(sizes.values())


def is_packed(linear: nn.Linear) -> bool:
    """Whether a matrix is held in another form than a weight of its shape."""
    weight = getattr(linear, "weight", None)
    return weight is None or weight.shape != (linear.out_features, linear.in_features)


def _lacks(model: PreTrainedModel, what: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{type(model).__name__} is not supported: it lacks {what}")
