"""How a model is loaded: by the family of its ``model_type``, or by its structure and transformers' own processor."""

import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hipp_prune.files.manifest import check_all
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.devices import SPLIT, parse_device
from hipp_prune.models.families import SUPPORTED
from hipp_prune.models.loading import (
    TOYS,
    find_class,
    find_source,
    load_weights,
    parse_dtype,
    read_config,
)
from hipp_prune.models.processor import Processor
from hipp_prune.models.refusals import refuse_early
from hipp_prune.models.stock import CANNOT, stock_processor
from hipp_prune.models.unlisted import UnlistedAdapter

__all__ = ["SUPPORTED", "TOYS", "load_model"]


def load_model(
    name: str | Path, *, device: str = "cpu", dtype: str = "auto", trust_remote_code: bool = False
) -> Adapter:
    """Loads a model for evaluation, strictly.

    Args:
        name: a checkpoint folder (pruned ones included), a hub name, ``toy-llava`` or ``toy-qwen2.5-vl``.
        device: torch device the model is moved to; ``best`` is the fastest one here, ``auto`` splits the model over
            this worker's GPUs.
        dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
        trust_remote_code: whether code from the checkpoint may run; pruned checkpoints do not need it here.

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
    refuse_early(source, trust_remote_code=trust_remote_code)
    config = read_config(source, trust_remote_code=trust_remote_code)
    family = SUPPORTED.get(config.model_type)
    adapter_class = Adapter if family is None else family.adapter
    model_class = find_class(source, config, trust_remote_code=trust_remote_code)
    processor = Processor.load(source, config, trust_remote_code=trust_remote_code)
    model = load_weights(source, config, model_class, device=target, dtype=dtype)
    if family is None:
        with suppress(*CANNOT):
            processor = replace(processor, stock=stock_processor(config, processor, source))
            adapter_class = UnlistedAdapter
    adapter = adapter_class(model, processor)
    if family is None:
        how = (
            "its prompt could not be given the layout of transformers' processor, and has not been checked"
            if processor.stock is None
            else "transformers' own processor lays out its prompt, and questions are asked one by one"
        )
        warnings.warn(
            f"{source}: model type {config.model_type!r} is not among the tested families; it is loaded by its "
            f"structure alone: {how}",
            stacklevel=2,
        )
    return adapter
