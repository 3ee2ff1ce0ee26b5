"""GPTQ, AWQ and FP8 by llm-compressor: what it makes of a model's language blocks, in compressed-tensors' format.

llm-compressor goes from block to block: it shows every calibration question to one, quantises it, and shows what comes
out to the next. Everything outside the blocks (vision tower, projector, embeddings, head) stays as it is.
"""

import io
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partialmethod
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal
from unittest import mock

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from hipp_prune.export.quantised import BESIDE, Quantised, changed_tensors, matrices
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter

OUTSIDE = rf"vision|visual|image|audio|connector|projector|resampler|perceiver|merger|lm_head|{BESIDE}"
"""What names of matrices hold that stay as they are, in transformers, on the hub and in vLLM."""
_BITS = 4
"""Of a weight, by gptq and awq; symmetric, since transformers 5.23 cannot open compressed-tensors' zero points."""


def compress(
    adapter: Adapter,
    rows: Sequence[Mapping[str, Tensor]],
    format: Literal["gptq", "awq", "fp8"],
    *,
    group_size: int,
    progress: Progress | None = None,
) -> Quantised:
    """Quantises a model in memory, which is changed by it, and returns what is to be stored.

    Args:
        adapter: the model.
        rows: inputs of the stock forward, one question each; none for fp8.
        format: gptq and awq round weights to 4 bits, fp8 weights and activations to 8.
        group_size: columns that share a scale, ≥ 1; not for fp8.
        progress: told (blocks reached, blocks).
    """
    before = {name: tensor.clone() for name, tensor in changed_tensors(adapter).items()}
    shown: dict[str, Any] = {"pipeline": "datafree"}
    if rows:
        batches: Any = DataLoader(list(rows), batch_size=None)  # type: ignore[arg-type]
        shown = {"pipeline": "sequential", "dataset": batches, "processor": adapter.processor.tokenizer}
    with silence(), _without_pinning(), _watched(adapter, progress):
        import_module("llmcompressor").oneshot(
            model=adapter.model, recipe=_recipe(adapter, format, group_size), **shown
        )
        return _stored(adapter, before)


def _recipe(adapter: Adapter, format: str, group_size: int) -> list[Any]:
    """The steps of llm-compressor."""
    quantization = import_module("llmcompressor.modifiers.quantization")
    ignore = [f"re:.*(?:{OUTSIDE}).*"]
    if format == "fp8":
        return [quantization.QuantizationModifier(scheme="FP8_DYNAMIC", targets=["Linear"], ignore=ignore)]
    schemes = import_module("compressed_tensors.quantization")
    weights = schemes.QuantizationArgs(
        num_bits=_BITS, type="int", symmetric=True, strategy="group", group_size=group_size
    )
    groups = {"group_0": schemes.QuantizationScheme(targets=["Linear"], weights=weights)}
    if format == "gptq":
        return [quantization.GPTQModifier(config_groups=groups, ignore=ignore)]
    awq = import_module("llmcompressor.modifiers.transform.awq")
    return [
        awq.AWQModifier(mappings=[awq.AWQMapping(*pair) for pair in _smoothed(adapter)]),
        quantization.QuantizationModifier(config_groups=groups, ignore=ignore),
    ]


def _smoothed(adapter: Adapter) -> list[tuple[str, list[str]]]:
    """What AWQ scales down, and all the matrices that read it and make up for it, of each language block.

    A norm in front of the MLP is called otherwise where attention has one behind it (Gemma), and one norm serves both
    where they run side by side (Cohere).
    """
    pairs = []
    for block in adapter.blocks:
        layer = adapter.model.get_submodule(block.name)
        name = f"re:.*{re.escape(block.name)}"
        attention = [
            f"{name}.self_attn.{each}_proj$"
            for each in ("q", "k", "v", "qkv")
            if hasattr(block.attention, f"{each}_proj")
        ]
        mlp = [f"{name}.mlp.gate_proj$", f"{name}.mlp.up_proj$"]
        norms = [
            each for each in ("pre_feedforward_layernorm", "post_attention_layernorm") if hasattr(layer, each)
        ]
        before = attention if norms else [*attention, *mlp]
        pairs += [(f"{name}.input_layernorm$", before)] if attention else []
        if hasattr(block.attention, "v_proj"):
            pairs.append((f"{name}.self_attn.v_proj$", [f"{name}.self_attn.o_proj$"]))
        pairs += [(f"{name}.{norms[0]}$", mlp)] if norms else []
        pairs.append((f"{name}.mlp.up_proj$", [f"{name}.mlp.down_proj$"]))
    return pairs


def _stored(adapter: Adapter, before: Mapping[str, Tensor]) -> Quantised:
    """The packed matrices, the norms that smoothing has changed, and how transformers reads them."""
    compressors = import_module("compressed_tensors.compressors")
    compressor = compressors.ModelCompressor.from_pretrained_model(adapter.model)
    compressor.compress_model(adapter.model, skip_compressed=True)
    tensors = {
        f"{name}.weight": {key: held for key, held in linear.state_dict().items() if key != "bias"}
        for name, linear in matrices(adapter).items()
    }
    for name, tensor in changed_tensors(adapter).items():
        if name in before and name not in tensors and not torch.equal(tensor, before[name]):
            tensors[name] = {name.rpartition(".")[2]: tensor}
    told = json.loads(compressor.quantization_config.model_dump_json())
    version = import_module("compressed_tensors").__version__
    config = {**told, "quant_method": "compressed-tensors", "version": version}
    return Quantised(tensors=tensors, config={**config, "ignore": [f"re:.*(?:{OUTSIDE}).*"]})


@contextmanager
def _watched(adapter: Adapter, progress: Progress | None) -> Iterator[None]:
    """Tells the block that the calibration questions have reached."""
    reached = [0]

    def reach(block: int) -> None:
        if progress is not None and block > reached[0]:
            reached[0] = block
            progress(block, len(adapter.blocks))

    handles = [
        block.down.register_forward_hook(lambda *_, number=number: reach(number))
        for number, block in enumerate(adapter.blocks, start=1)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _without_pinning() -> Iterator[None]:
    """Lets AWQ run where there is no GPU: it pins memory for one all the same, which torch refuses."""
    cache = import_module("llmcompressor.pipelines.cache").IntermediatesCache
    if torch.accelerator.is_available():
        yield
        return
    with mock.patch.object(cache, "pin_memory", return_value=None):
        yield


@contextmanager
def silence() -> Iterator[None]:
    """Silences what llm-compressor and compressed-tensors print: bars, and warnings that there is no GPU."""
    bar = import_module("tqdm").tqdm
    hidden = mock.patch.object(bar, "__init__", partialmethod(bar.__init__, disable=True))
    logging.disable(logging.WARNING)
    try:
        with hidden, mock.patch.dict(os.environ, {"TOKENIZERS_PARALLELISM": "false"}):
            _import_quietly()
            yield
    finally:
        logging.disable(logging.NOTSET)


def _import_quietly() -> None:
    """Imports llm-compressor, where it is there: it logs while it is imported, to whatever standard output is then."""
    if find_spec("llmcompressor") is None:
        return
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        import_module("llmcompressor")
    for package in ("llmcompressor", "compressed_tensors"):
        import_module("loguru").logger.disable(package)
