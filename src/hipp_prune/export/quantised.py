"""Quantised checkpoints: the language blocks' matrices in fewer bits, everything else as it is, byte by byte.

By surgery, as ``prune`` does it: each matrix is taken out of the file it lies in, and what was made of it is put there
under the same name with other endings. Names, files and vision tower stay those of the checkpoint that was quantised,
and transformers reads the result by the ``quantization_config`` in its ``config.json``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.checkpoints.finding import find_tensors
from hipp_prune.checkpoints.folders import check_output, open_shards, write_folder
from hipp_prune.checkpoints.ledger import LEDGER_FILE, PLAN_FILE
from hipp_prune.checkpoints.shards import Values
from hipp_prune.errors import CheckpointError, UnsupportedModelError
from hipp_prune.export.exported import Exported, check_widths
from hipp_prune.export.formats import QuantisedFormat
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.uneven import residual_width
from hipp_prune.plans.alignment import ALIGNMENTS

BESIDE = "per_layer|altup|laurel"
"""What names of small matrices hold that stand beside attention and MLP (Gemma 3n and 4), and stay as they are."""
QUANTISATION_FILE = "quantisation.json"
"""What was done, beside the weights."""
_TYPES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float8_e4m3fn: "F8_E4M3",
    torch.uint8: "U8", torch.int8: "I8", torch.int32: "I32", torch.int64: "I64",
}  # fmt: skip
"""As the safetensors format spells them."""


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """What a quantiser makes of a model."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    """In place of a tensor, by its name in the model: others, by what follows the name of its module."""
    config: Mapping[str, Any]
    """The ``quantization_config`` by which transformers reads them."""


Quantiser = Callable[[Adapter], Quantised]


def write_quantised(
    source: Path,
    out: Path,
    format: QuantisedFormat,
    quantise: Quantiser,
    *,
    group_size: int,
    force: bool = False,
    check: Callable[[Path], None] | None = None,
) -> Exported:
    """Writes a quantised checkpoint, whole or not at all.

    Args:
        source: checkpoint folder.
        out: folder to write.
        format: what the blocks' matrices become.
        quantise: makes it of the loaded model.
        group_size: columns that share a scale, for gptq and awq.
        force: replace a checkpoint that is already there.
        check: looks at the new folder before it takes its place.

    Raises:
        OutputExistsError: if ``out`` exists and ``force`` is false, or it is no checkpoint.
        CheckpointError: if a width does not fit the format, the source is damaged, or the disk is full.
        UnsupportedModelError: if the residual stream is sliced.
    """
    check_output(source, out, force=force)
    adapter, shards = load_model(source), open_shards(source)
    check_widths(source, adapter)
    check_matrices(adapter, format, group_size)
    places = find_tensors(shards, changed_tensors(adapter))
    made = quantise(adapter)
    stored: dict[Path, dict[str, Tensor]] = {shard.path: {} for shard in shards}
    for name, tensors in made.tensors.items():
        shard, entry = places[name]
        module = entry.stored.rpartition(".")[0]
        for key, tensor in tensors.items():
            _put(stored[shard.path], f"{module}.{key}", tensor)
    record = {"format": format, "group_size": _group(format, group_size)}
    records = {QUANTISATION_FILE: json.dumps(record, indent=1) + "\n"}
    records |= {
        name: (source / name).read_text("utf-8")
        for name in (PLAN_FILE, LEDGER_FILE)
        if (source / name).is_file()
    }
    before, after = write_folder(
        source,
        out,
        shards,
        changes={},
        values={
            path: {name: _values(tensor) for name, tensor in held.items()} for path, held in stored.items()
        },
        config={**read_config_file(source / "config.json"), "quantization_config": dict(made.config)},
        records=records,
        dropped={places[name][1].name for name in made.tensors},
        check=check,
    )
    return Exported(path=out, num_bytes=after, bytes_before=before, notes=tuple(_notes(adapter, format)))


def _put(stored: dict[str, Tensor], name: str, tensor: Tensor) -> None:
    """Adds a tensor: an up projection's below its gate's, where a file holds both in one (GLM-4.1V, Phi-3).

    Rows are packed and scaled by themselves; the shape that goes with them is their numbers, [rows, columns].
    """
    gate = stored.get(name)
    if gate is None:
        stored[name] = tensor
    elif name.endswith("weight_shape"):
        stored[name] = torch.stack([gate[0] + tensor[0], gate[1]])
    else:
        stored[name] = torch.cat([gate, tensor])


def matrices(adapter: Adapter) -> dict[str, nn.Linear]:
    """The matrices of the language blocks, attention's and MLPs', by their names in the model; see ``BESIDE``."""
    return {
        f"{block.name}.{name}": part
        for block in adapter.blocks
        for name, part in adapter.model.get_submodule(block.name).named_modules()
        if isinstance(part, nn.Linear) and not re.search(BESIDE, name)
    }


def changed_tensors(adapter: Adapter) -> dict[str, Tensor]:
    """What a quantiser may change, by name: all tensors of the language blocks."""
    return {
        f"{block.name}.{name}": tensor.detach()
        for block in adapter.blocks
        for name, tensor in adapter.model.get_submodule(block.name).named_parameters()
    }


def check_matrices(adapter: Adapter, format: QuantisedFormat, group_size: int) -> None:
    """Refuses a model that a format cannot hold, before any work is done.

    Raises:
        CheckpointError: naming the first matrix that does not fit, and the alignment that helps.
        UnsupportedModelError: if the residual stream is sliced.
    """
    if residual_width(adapter.model.config) is not None:
        raise UnsupportedModelError(
            "a sliced residual stream (SliceGPT) has matrices that no quantised format is known to hold; expected "
            "pruned neurons or heads"
        )
    rows, columns = (32, 64) if format == "bnb4" else (1, _group(format, group_size) or 1)
    for name, linear in matrices(adapter).items():
        if linear.in_features % columns or linear.out_features % rows:
            raise CheckpointError(
                f"{format} takes matrices of {_multiples(rows)} rows and {_multiples(columns)} columns, {name} has "
                f"{linear.out_features} × {linear.in_features}; {_remedy(name, format, group_size)}"
            )


def _remedy(name: str, format: QuantisedFormat, group_size: int) -> str:
    """What helps a matrix that does not fit; attention's are as they are, whatever the plan."""
    of_plan = [f"query the plan with {_alignment(format, group_size)}"] if ".mlp." in name else []
    smaller = ["give a smaller --group-size"] if format in ("gptq", "awq") else []
    return ", or ".join(of_plan + smaller) or "no plan changes that, so choose another --format"


def _multiples(count: int) -> str:
    return "any number of" if count == 1 else f"multiples of {count}"


def _alignment(format: QuantisedFormat, group_size: int) -> str:
    """The flag of ``query`` that leaves such widths."""
    usual = format == "bnb4" or group_size == ALIGNMENTS[format].neurons
    return f"--align-for {format}" if usual else f"--align {group_size}"


def _group(format: QuantisedFormat, group_size: int) -> int | None:
    return group_size if format in ("gptq", "awq") else None


def _values(tensor: Tensor) -> Values:
    """A tensor in the file's terms, whatever its type."""
    held = tensor.detach().cpu().contiguous()
    content = held.reshape(-1).view(torch.uint8).numpy().tobytes()
    return Values(dtype=_TYPES[held.dtype], shape=tuple(held.shape), content=content)


def _notes(adapter: Adapter, format: QuantisedFormat) -> Sequence[str]:
    """What to know before it is served."""
    if format == "fp8" and any(width % ALIGNMENTS["fp8"].neurons for width in adapter.shape.neurons):
        return [
            "widths are not multiples of 16, which GPUs' fp8 kernels like; query the plan with --align-for fp8"
        ]
    return []
