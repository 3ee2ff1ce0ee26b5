"""The table of supported families, and how a model is loaded."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from hipp_prune.models.adapter import Adapter
from hipp_prune.models.families.idefics3 import Idefics3Adapter
from hipp_prune.models.families.internvl import InternVLAdapter
from hipp_prune.models.families.llava import LlavaAdapter, LlavaNextAdapter
from hipp_prune.models.families.mistral3 import Mistral3Adapter
from hipp_prune.models.families.qwen2_5_vl import Qwen2VLAdapter
from hipp_prune.models.loading import TOYS, find_source, load_weights, parse_device, parse_dtype, read_config
from hipp_prune.models.processor import Processor
from hipp_prune.models.refusals import refuse_early

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
        tested="contract tests",
    ),
    Family(
        name="Idefics3",
        model_type="idefics3",
        adapter=Idefics3Adapter,
        tested="contract tests; inputs equal the stock processor's",
    ),
    Family(
        name="SmolVLM",
        model_type="smolvlm",
        adapter=Idefics3Adapter,
        tested="contract tests",
    ),
    Family(
        name="InternVL3",
        model_type="internvl",
        adapter=InternVLAdapter,
        tested="contract tests",
    ),
    Family(
        name="LLaVA-NeXT",
        model_type="llava_next",
        adapter=LlavaNextAdapter,
        tested="contract tests; inputs equal the stock processor's",
    ),
    Family(
        name="Mistral Small 3.1",
        model_type="mistral3",
        adapter=Mistral3Adapter,
        tested="contract tests",
    ),
)
"""Families with a tested prompt format. Others load if their structure allows, with a warning."""


def load_model(
    name: str | Path, *, device: str = "cpu", dtype: str = "auto", trust_remote_code: bool = False
) -> Adapter:
    """Loads a model for evaluation, strictly.

    Args:
        name: a checkpoint folder (pruned ones included), a hub name, ``toy-llava`` or ``toy-qwen2.5-vl``.
        device: torch device the model is moved to; ``auto`` splits it over this worker's GPUs.
        dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
        trust_remote_code: whether code from the checkpoint may run; pruned checkpoints do not need it here.

    Returns:
        The family's adapter, model in evaluation mode.

    Raises:
        CheckpointError: if there is no such checkpoint, it is quantised, a file or tensor is missing, damaged or of the
            wrong shape, or a weight is no number.
        UnsupportedModelError: naming what the model lacks.
        InputError: for an unknown dtype, a device this machine does not have, or GPUs too small for the model.
    """
    target = None if device == "auto" else parse_device(device)
    parse_dtype(dtype)
    source = find_source(name)
    refuse_early(source, trust_remote_code=trust_remote_code)
    config = read_config(source, trust_remote_code=trust_remote_code)
    family = next((family for family in SUPPORTED if family.model_type == config.model_type), None)
    adapter_class = Adapter if family is None else family.adapter
    model = load_weights(source, config, device=target, dtype=dtype, trust_remote_code=trust_remote_code)
    processor = Processor.load(
        source, config, default_template=adapter_class._default_template, trust_remote_code=trust_remote_code
    )
    adapter = adapter_class(model, processor)
    if family is None:
        warnings.warn(
            f"{source}: model type {config.model_type!r} is not among the tested families; it is loaded by its "
            f"structure alone, and how its prompt represents an image has not been checked",
            stacklevel=2,
        )
    return adapter
