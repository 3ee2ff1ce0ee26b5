"""The table of supported families, and how a model is loaded."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from hipp_prune.models.adapter import Adapter
from hipp_prune.models.llava import LlavaAdapter
from hipp_prune.models.loading import TOYS, find_source, load_weights, parse_device, parse_dtype, read_config
from hipp_prune.models.processor import Processor
from hipp_prune.models.qwen2_5_vl import Qwen2VLAdapter

__all__ = ["SUPPORTED", "TOYS", "Family", "load_model"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One row of the table of supported models."""

    name: str
    """As its authors write it."""
    model_type: str
    """transformers' ``model_type``."""
    adapter: type[Adapter]
    """How it is reached."""
    tested: str
    """What has actually been run."""


SUPPORTED = (
    Family(
        name="LLaVA-1.5",
        model_type="llava",
        adapter=LlavaAdapter,
        tested="toy model end to end; contract tests; inputs equal the stock processor's",
    ),
    Family(
        name="Qwen2.5-VL",
        model_type="qwen2_5_vl",
        adapter=Qwen2VLAdapter,
        tested="toy model end to end; contract tests",
    ),
    Family(
        name="Qwen2-VL",
        model_type="qwen2_vl",
        adapter=Qwen2VLAdapter,
        tested="contract tests on random models",
    ),
)
"""Families with a tested prompt format. Others load if their structure allows, with a warning."""


def load_model(
    name: str | Path, *, device: str = "cpu", dtype: str = "auto", trust_remote_code: bool = False
) -> Adapter:
    """Loads a model for evaluation, strictly.

    Args:
        name: a checkpoint folder (pruned ones included), a hub name, ``toy-llava`` or ``toy-qwen2.5-vl``.
        device: torch device the model is moved to.
        dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
        trust_remote_code: whether code from the checkpoint may run; pruned checkpoints do not need it here.

    Returns:
        The family's adapter, model in evaluation mode.

    Raises:
        CheckpointError: if there is no such checkpoint, or a file or tensor is missing, damaged or of the wrong shape.
        UnsupportedModelError: naming what the model lacks.
        InputError: for an unknown dtype or a device this machine does not have.
    """
    target = parse_device(device)
    parse_dtype(dtype)
    source = find_source(name)
    config = read_config(source, trust_remote_code=trust_remote_code)
    adapter = _adapter_class(config.model_type)
    model = load_weights(source, config, dtype=dtype, trust_remote_code=trust_remote_code)
    processor = Processor.load(
        source, config, default_template=adapter._default_template, trust_remote_code=trust_remote_code
    )
    return adapter(model.to(target), processor)


def _adapter_class(model_type: str) -> type[Adapter]:
    for family in SUPPORTED:
        if family.model_type == model_type:
            return family.adapter
    return Adapter
