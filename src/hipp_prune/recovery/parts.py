"""The parts of a model that a recovery trains, and how what pruning has zeroed stays zero."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from hipp_prune.errors import InputError, UnsupportedModelError
from hipp_prune.models import uneven
from hipp_prune.models.adapter import Adapter
from hipp_prune.recovery.settings import RecoverySettings

_ADAPTER = "default"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What is trained of one model; live references."""

    whole: Mapping[str, nn.Parameter]
    """Parameters of head, norm and projector, by their names in the model."""
    lora: Mapping[str, Any]
    """PEFT's layers by the names of the Linears they wrap."""
    lora_config: LoraConfig | None
    """None where there is no LoRA."""
    projector: nn.Module | None
    """None where it is frozen."""
    untied: int
    """Parameters that untying the head added."""

    @property
    def factors(self) -> dict[str, nn.Parameter]:
        """LoRA's factors by name: ``….lora_A.weight`` [rank, in] and ``….lora_B.weight`` [out, rank]."""
        return {
            f"{name}.{factor}.weight": getattr(layer, factor)[_ADAPTER].weight
            for name, layer in self.lora.items()
            for factor in ("lora_A", "lora_B")
        }

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """All that is trained, by name."""
        return {**self.whole, **self.factors}

    def originals(self) -> dict[str, Tensor]:
        """The tensors a merged checkpoint changes, as they are now without LoRA, by name."""
        return {
            **self.whole,
            **{f"{name}.weight": layer.base_layer.weight for name, layer in self.lora.items()},
        }

    @torch.no_grad()
    def merged(self) -> dict[str, Tensor]:
        """The same tensors with LoRA added."""
        added = {
            f"{name}.weight": layer.base_layer.weight + layer.get_delta_weight(_ADAPTER)
            for name, layer in self.lora.items()
        }
        return {name: tensor.detach() for name, tensor in self.whole.items()} | added


def unfreeze(adapter: Adapter, settings: RecoverySettings) -> Parts:
    """Freezes a model except for what ``settings`` trains; unties its head, puts LoRA around its last blocks.

    Raises:
        InputError: if the model has fewer blocks than LoRA is to train.
        UnsupportedModelError: if it has no projector under a name we know.
    """
    model = adapter.model
    if not 0 <= settings.lora_blocks <= len(adapter.blocks):
        raise InputError(
            f"--lora-blocks must lie in [0, {len(adapter.blocks)}], the number of the model's language blocks, got "
            f"{settings.lora_blocks}"
        )
    untied = untie_head(model) if settings.head else 0
    projector = projector_to_train(model) if settings.projector else None
    modules = [model.get_output_embeddings()] if settings.head else []
    modules += [model.get_decoder().norm] if settings.norm else []
    modules += [] if projector is None else [projector]
    chosen = {id(parameter) for module in modules for parameter in module.parameters()}
    whole = {name: parameter for name, parameter in model.named_parameters() if id(parameter) in chosen}
    model.requires_grad_(False)
    lora_config, lora = _add_lora(adapter, settings) if settings.lora_blocks else (None, {})
    for parameter in whole.values():
        parameter.requires_grad_(True)
    return Parts(whole=whole, lora=lora, lora_config=lora_config, projector=projector, untied=untied)


def untie_head(model: PreTrainedModel) -> int:
    """Gives a head that shares the embeddings' weights its own; returns how many parameters that adds."""
    head: Any = model.get_output_embeddings()
    embeddings: Any = model.get_input_embeddings()
    if head.weight is not embeddings.weight:
        return 0
    head.weight = nn.Parameter(head.weight.detach().clone())
    for settings in (model.config, model.config.get_text_config(decoder=True)):
        settings.tie_word_embeddings = False
    return int(head.weight.numel())


def projector_to_train(model: PreTrainedModel) -> nn.Module:
    """What maps the vision tower's output to the language model's input.

    Raises:
        UnsupportedModelError: if there is none under a name we know.
    """
    try:
        return uneven.find_projector(model)[1]
    except ValueError as error:
        raise UnsupportedModelError(f"{error}; recover with --no-projector") from error


def _add_lora(adapter: Adapter, settings: RecoverySettings) -> tuple[LoraConfig, dict[str, Any]]:
    """LoRA around every Linear of the last blocks, its first weights drawn from the seed."""
    last = adapter.blocks[-settings.lora_blocks :]
    names = [
        f"{block.name}.{name}"
        for block in last
        for name, module in adapter.model.get_submodule(block.name).named_modules()
        if isinstance(module, nn.Linear)
    ]
    lora = LoraConfig(r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=names)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        inject_adapter_in_model(lora, adapter.model, adapter_name=_ADAPTER)
    layers = {name: adapter.model.get_submodule(name) for name in names}
    for layer in layers.values():
        assert isinstance(layer, LoraLayer), "PEFT left a Linear without LoRA"
        _hold_zeros(layer)
    return lora, layers


@torch.no_grad()
def _hold_zeros(layer: Any) -> None:
    """Keeps rows and columns of a Linear that are all zero so, during training and after merging.

    A masked gate row has a gradient: LoRA would revive it. Row i of B·A is zero if row i of B is, column j if column j
    of A is; both stay zero if their gradient is, since nothing else moves them.
    """
    weight = layer.base_layer.weight
    a, b = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight
    dead_rows, dead_columns = (weight == 0).all(dim=1), (weight == 0).all(dim=0)
    a.masked_fill_(dead_columns[None, :], 0)
    a.register_hook(lambda gradient: gradient.masked_fill(dead_columns[None, :], 0))
    b.register_hook(lambda gradient: gradient.masked_fill(dead_rows[:, None], 0))
