"""How a model is loaded: by the family of its ``model_type``, or by its structure and transformers' own processor.

In: a folder, or a name on the hub. Out: an ``Adapter``, the only way to a model: its blocks, their MLPs, prompts,
features of pictures, logits. What may be changed here alone: a family (one module in ``families/``), how structure is
found, what is refused.
"""

import warnings
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.files.hub import hub_or_its_cache
from hipp_prune.files.manifest import check_all, check_whole
from hipp_prune.models import structure
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.devices import SPLIT, parse_device
from hipp_prune.models.families import SUPPORTED, family_of
from hipp_prune.models.loading import (
    TOYS,
    check_finite,
    companions,
    find_class,
    find_source,
    load_weights,
    parse_dtype,
    read_config,
)
from hipp_prune.models.processor import Processor
from hipp_prune.models.refusals import refuse_early
from hipp_prune.models.stock import CANNOT, stock_processor
from hipp_prune.models.stock_layout import StockLayoutAdapter

__all__ = ["SUPPORTED", "TOYS", "load_model", "loaded"]


def load_model(
    name: str | Path,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    quantised: bool = False,
) -> Adapter:
    """Loads a model for evaluation, strictly.

    Args:
        name: a checkpoint folder (pruned ones included, and the plans of an elastic one), a hub name, ``toy-llava`` or
            ``toy-qwen2.5-vl``.
        device: torch device the model is moved to; ``best`` is the fastest one here, ``auto`` splits the model over
            this worker's GPUs.
        dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
        trust_remote_code: whether code from the checkpoint may run; pruned checkpoints do not need it here.
        quantised: whether a checkpoint that ``export`` has quantised will do too, which can be asked and no more.

    Returns:
        The family's adapter, model in evaluation mode.

    Raises:
        CheckpointError: if there is no such checkpoint, it is quantised, a file or tensor is missing, damaged or of the
            wrong shape, or a weight is no number.
        UnsupportedModelError: naming what the model lacks.
        RunError: if a file of a checkpoint that we wrote is no longer what we wrote.
        InputError: for an unknown dtype, a device this machine does not have, or GPUs too small for the model.
    """
    target = None if device == SPLIT else parse_device(device)
    parse_dtype(dtype)
    source = find_source(name)
    if isinstance(source, Path):
        check_all(source)
    with hub_or_its_cache() if isinstance(source, str) else nullcontext():
        refuse_early(source, trust_remote_code=trust_remote_code, quantised=quantised)
        config = read_config(source, trust_remote_code=trust_remote_code)
        model_class = find_class(source, config, trust_remote_code=trust_remote_code)
        beside = companions(source) if isinstance(source, Path) else source
        if isinstance(beside, Path) and beside != source:  # of a plan; weights are many, and read in part
            for path in beside.iterdir():
                if path.suffix != ".safetensors":
                    check_whole(path)
        family = family_of(config)
        template = None if family is None else family.chat_template
        processor = Processor.load(beside, config, template=template, trust_remote_code=trust_remote_code)
        model = load_weights(source, config, model_class, device=target, dtype=dtype)
        if family is None or issubclass(family.adapter, StockLayoutAdapter):
            with suppress(*CANNOT):
                processor = replace(processor, stock=stock_processor(config, processor, beside))
    return _adapter(model, processor, source)


def loaded(model: PreTrainedModel, processor: Any) -> Adapter:
    """Puts a model that is in memory already behind the adapter of its family; nothing is copied or moved.

    Args:
        model: a vision-language model of transformers with floating-point weights.
        processor: transformers' processor of it, or a ``Processor`` of ours.

    Raises:
        UnsupportedModelError: naming what the model or the processor lacks.
        CheckpointError: if a weight is no number.
    """
    if not isinstance(model, PreTrainedModel):
        raise UnsupportedModelError(
            f"expected a model of transformers, found {type(model).__name__}; give a name, or what from_pretrained "
            "returns (of PEFT's models, what merge_and_unload does)"
        )
    name = model.name_or_path or type(model).__name__
    if getattr(model.config, "quantization_config", None) is not None or any(
        parameter.is_meta for parameter in model.parameters()
    ):
        raise UnsupportedModelError(
            f"{name}: expected floating-point weights that all lie in memory, found quantised or offloaded ones; load "
            "it without quantising and without offloading"
        )
    structure.check_class(type(model))
    check_finite(name, model)
    return _adapter(model, processor if isinstance(processor, Processor) else Processor.of(processor), name)


def _adapter(model: PreTrainedModel, processor: Processor, source: Path | str) -> Adapter:
    """The adapter of a model's family; of a family nobody has tested, one by its structure, with a warning."""
    family = family_of(model.config)
    if family is not None:
        return family.adapter(model, processor)
    adapter = (Adapter if processor.stock is None else StockLayoutAdapter)(model, processor)
    how = (
        "its prompt could not be given the layout of transformers' processor, and has not been checked"
        if processor.stock is None
        else "transformers' own processor lays out its prompt, and questions are asked one by one"
    )
    warnings.warn(
        f"{source}: model type {model.config.model_type!r} is not among the tested families; it is loaded by its "
        f"structure alone: {how}",
        stacklevel=3,
    )
    return adapter
