"""SliceGPT (Ashkboos et al. 2024): the residual stream is cut to its principal coordinates, place by place.

A sliced block computes what the stock block does on a stream projected to the span of a basis, since projected and
sliced states have the same length, which is all that RMSNorm looks at. So the bases are found on the dense model,
whose weights stay as they are; see ``checkpoints.residual`` for what is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration.measurement import batches
from hipp_prune.checkpoints.residual import Slicing, TensorShape, check_image_writer, sliced_shapes, touching
from hipp_prune.errors import BudgetError, InputError
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.forward_cost import flops_table
from hipp_prune.models.structure import check_prunable
from hipp_prune.plans.space import Ledger


def plan(setting: Setting) -> Slicing:
    """The widest stream that saves what is asked for, in its principal coordinates on the calibration sample.

    Raises:
        BudgetError: if no width saves so much.
        UnsupportedModelError: if the model is sliced already, or something unknown writes to its stream.
        InputError: if the model is split over several devices.
    """
    adapter, settings = setting.adapter, setting.settings
    refuse_model(adapter)
    width, ledger = choose_width(setting)
    return Slicing(
        shape=adapter.shape,
        bases=tuple(principal_bases(setting, width)),
        ledger=ledger,
        notes={"residual_width": width, "hidden_size": adapter.shape.hidden_size, "match": settings.match},
    )


def refuse_model(adapter: Adapter) -> None:
    """Refuses a model whose stream cannot be cut; see ``plan``."""
    check_prunable(adapter.model)
    touching(adapter)
    check_image_writer(adapter)
    if len({parameter.device for parameter in adapter.model.parameters()}) > 1:
        raise InputError(
            "slicegpt needs the whole model on one device, found it split; name one with --device"
        )


def only_neurons(settings: BaselineSettings) -> bool:  # noqa: ARG001
    """Never: it cuts the residual stream."""
    return False


def whole_neurons(settings: BaselineSettings) -> bool:  # noqa: ARG001
    """Never: every neuron stays, so there is none to answer for; its bases are a least-squares fit of their own."""
    return False


def choose_width(setting: Setting) -> tuple[int, Ledger]:
    """The widest multiple of ``round_to`` that saves at least ``sparsity`` of the matched column, and its ledger.

    Raises:
        BudgetError: if there is none.
    """
    step, column = setting.settings.round_to, setting.settings.match
    most = 0.0
    for width in range(setting.adapter.shape.hidden_size // step * step, 0, -step):
        ledger = sliced_ledger(setting.adapter, width, tokens=setting.tokens)
        saved = getattr(ledger, column)
        if saved >= setting.sparsity:
            return width, ledger
        most = max(most, saved)
    raise BudgetError(
        f"no width of the residual stream saves {setting.sparsity:g} of the {column} parameters: multiples of {step} "
        f"save at most {most:.3g}; ask for less, or give a smaller --round-to"
    )


def sliced_ledger(adapter: Adapter, width: int, *, tokens: float) -> Ledger:
    """What slicing to ``width`` saves; what shortcuts and a head of its own add is counted against it.

    Args:
        adapter: the dense model.
        width: coordinates of the stream that are left.
        tokens: of a prompt, for its FLOPs.
    """
    dense = {name: tuple(weight.shape) for name, weight in adapter.model.named_parameters()}
    sliced = sliced_shapes(adapter, width)
    shape, flops = adapter.shape, flops_table(adapter, tokens)
    blocks = tuple(f"{block.name}." for block in adapter.blocks)
    mlps = tuple(
        f"{block.name}.mlp.{part}" for block in adapter.blocks for part in ("gate", "up", "down_proj.weight")
    )
    decoder = adapter.blocks[0].name.removesuffix("layers.0")

    def removed(*prefixes: str, matrices: bool = False) -> int:
        return _size(dense, prefixes, matrices=matrices) - _size(sliced, prefixes, matrices=matrices)

    return Ledger(
        mlp=removed(*mlps) / _size(dense, mlps),
        block=removed(*blocks) / shape.block_parameters,
        language=removed(decoder, "lm_head.") / shape.language_parameters,
        model=removed("") / shape.total_parameters,
        flops=2 * tokens * removed(*blocks, matrices=True) / flops.dense,
    )


def _size(shapes: Mapping[str, TensorShape], prefixes: tuple[str, ...], *, matrices: bool = False) -> int:
    """Parameters whose names begin with one of ``prefixes``; ``matrices``: those of matrices only."""
    return sum(
        prod(shape)
        for name, shape in shapes.items()
        if name.startswith(prefixes) and (len(shape) == 2 or not matrices)
    )


@dataclass
class _Stream:
    """One batch on its way through the blocks."""

    states: Tensor
    """Residual stream between two blocks, [B, T, hidden]."""
    present: Tensor
    """False at padding, bool [B, T]."""
    arguments: list[dict[str, Any]]
    """What the model gives each block beside the states."""


@torch.no_grad()
def principal_bases(setting: Setting, width: int) -> list[Tensor]:
    """Bases of the places 0 … 2 L − 1, float64 [hidden, width]; each is found on states that those before it cut."""
    layers = _layers(setting.adapter)
    streams = _enter(setting, layers)
    bases = [_cut(streams, width)]
    for index, layer in enumerate(layers):
        for stream in streams:
            stream.states = _attended(layer, stream.states, stream.arguments[index])
        bases.append(_cut(streams, width))
        for stream in streams:
            stream.states = _fed_forward(layer, stream.states)
        bases.append(_cut(streams, width))
    return bases[:-1]  # behind the last block the stream stays whole


def _layers(adapter: Adapter) -> list[Any]:
    """The stock modules of the blocks."""
    return [adapter.model.get_submodule(block.name) for block in adapter.blocks]


def _enter(setting: Setting, layers: Sequence[nn.Module]) -> list[_Stream]:
    """The calibration sample as the first block gets it: image and text embeddings merged."""
    adapter, streams = setting.adapter, []
    for batch, images in batches(adapter, setting.questions, setting.settings.batch_size):
        with _watched(layers) as calls:
            adapter.hidden_states(batch, images)
        (states,), _ = calls[0]
        streams.append(
            _Stream(
                states=states,
                present=batch.attention_mask.bool(),
                arguments=[arguments for _, arguments in calls],
            )
        )
    return streams


@contextmanager
def _watched(layers: Sequence[nn.Module]) -> Iterator[list[tuple[tuple[Any, ...], dict[str, Any]]]]:
    """Positional and named arguments of every call of ``layers`` inside the context."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def record(_: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        calls.append((positional, named))

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(record, with_kwargs=True).remove)
        yield calls


def _attended(layer: Any, states: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """A stock block's stream between attention and MLP, [B, T, hidden]."""
    attended: Tensor = layer.self_attn(hidden_states=layer.input_layernorm(states), **arguments)[0]
    return states + attended


def _fed_forward(layer: Any, states: Tensor) -> Tensor:
    """A stock block's output, from the stream between attention and MLP, [B, T, hidden]."""
    output: Tensor = layer.mlp(layer.post_attention_layernorm(states))
    return states + output


def _cut(streams: Sequence[_Stream], width: int) -> Tensor:
    """Projects all states to their first ``width`` principal directions; returns these, float64 [hidden, width]."""
    basis = principal_directions([stream.states[stream.present] for stream in streams])[:, :width]
    for stream in streams:
        own = basis.float()
        stream.states = (stream.states.float() @ own @ own.T).to(stream.states.dtype)
    return basis.cpu()


def principal_directions(states: Sequence[Tensor]) -> Tensor:
    """Eigenvectors of Σ x xᵀ over all ``states`` [N, hidden], largest eigenvalue first, float64 [hidden, hidden].

    The original adds 1% of the mean diagonal to the diagonal, which shifts all eigenvalues and leaves their vectors.
    """
    moment = sum(x.double().T @ x.double() for x in states)
    assert isinstance(moment, Tensor), "a sample has a question"
    return torch.linalg.eigh(moment).eigenvectors.flip(1)
