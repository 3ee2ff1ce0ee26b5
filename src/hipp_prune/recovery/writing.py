"""The recovered checkpoint: the source's files with the trained tensors exchanged, by surgery (``pruning.shards``)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from hipp_prune.errors import CheckpointError
from hipp_prune.models.uneven import write_code
from hipp_prune.pruning.checkpoint import (
    INDEX,
    PLAN_FILE,
    copy_companions,
    nested_config,
    read_config_file,
    whole_or_not_at_all,
    write_config_file,
)
from hipp_prune.pruning.shards import Entry, Shard, Values, write_shard
from hipp_prune.recovery.parts import HEAD, Parts

ADAPTER_FOLDER = "adapter"
DELTAS_FILE = "deltas.safetensors"
RECOVERY_FILE = "recovery.json"

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

Place = tuple[Shard, Entry]
"""Where a tensor lies in a checkpoint."""


def find_tensors(shards: Sequence[Shard], tensors: Mapping[str, Tensor]) -> dict[str, Place]:
    """Where a checkpoint holds a loaded model's tensors, whose names transformers may have changed.

    Of the tensors of the same shape those are compared that share the longest end of their name; content decides.

    Args:
        shards: of the checkpoint.
        tensors: the model's, by name, unchanged since they were loaded.

    Raises:
        CheckpointError: if a tensor is not there exactly once.
    """
    return {name: _find(shards, name, tensor.detach()) for name, tensor in tensors.items()}


def _find(shards: Sequence[Shard], name: str, tensor: Tensor) -> Place:
    places = [
        (_common_end(name, entry.name), shard, entry)
        for shard in shards
        for entry in shard.entries
        if entry.shape == tuple(tensor.shape) and entry.dtype in _DTYPES
    ]
    most = max((common for common, _, _ in places), default=0)
    found = [
        (shard, entry) for common, shard, entry in places if common == most and _holds(shard, entry, tensor)
    ]
    if most == 0 or len(found) != 1:
        raise CheckpointError(
            f"expected the checkpoint to hold the model's {name} once, found it {len(found) if most else 0} times; "
            "recover a floating-point checkpoint, before quantising or fusing it"
        )
    return found[0]


def _common_end(name: str, other: str) -> int:
    """How many dotted parts two names end with in common."""
    count = 0
    for mine, its in zip(reversed(name.split(".")), reversed(other.split(".")), strict=False):
        if mine != its:
            break
        count += 1
    return count


def _holds(shard: Shard, entry: Entry, tensor: Tensor) -> bool:
    with safe_open(shard.path, framework="pt") as file:
        stored: Tensor = file.get_tensor(entry.name)
    return torch.equal(stored.to(tensor.dtype), tensor.cpu())


def write_checkpoint(
    source: Path,
    out: Path,
    shards: Sequence[Shard],
    places: Mapping[str, Place],
    *,
    parts: Parts,
    record: Mapping[str, Any],
    keep_adapter: bool = False,
) -> int:
    """Writes the checkpoint, whole or not at all; returns the bytes of its tensors.

    Args:
        source: the checkpoint that was recovered.
        out: folder to make.
        shards: the source's.
        places: where the trained tensors lie in them; an untied head's is its embedding's.
        parts: what was trained.
        record: what ``recovery.json`` says.
        keep_adapter: whether LoRA is kept apart too, in ``adapter/``.

    Raises:
        CheckpointError: if the disk is full.
    """
    values: dict[Path, dict[str, Values]] = {shard.path: {} for shard in shards}
    for name, tensor in parts.merged().items():
        shard, entry = places[name]
        is_new = name == HEAD and not entry.name.endswith(HEAD)
        values[shard.path][HEAD if is_new else entry.name] = _values(tensor, entry)
    added = places[HEAD][1].num_bytes if parts.untied else 0
    config = _untied(source) if parts.untied else read_config_file(source / "config.json")
    with whole_or_not_at_all(out, needed=added + sum(shard.num_bytes for shard in shards)) as folder:
        written = sum(write_shard(s, folder / s.path.name, {}, values[s.path]) for s in shards)
        if (source / INDEX).is_file():
            write_config_file(folder / INDEX, _index(read_config_file(source / INDEX), values, written))
        copy_companions(source, folder)
        if (source / PLAN_FILE).is_file():
            copyfile(source / PLAN_FILE, folder / PLAN_FILE)
        write_config_file(folder / RECOVERY_FILE, record)
        if keep_adapter:
            _write_adapter(folder / ADAPTER_FOLDER, parts)
        if "auto_map" in config:
            write_code(folder)
        write_config_file(folder / "config.json", config)
    return written


def _index(
    index: dict[str, Any], values: Mapping[Path, Mapping[str, Values]], written: int
) -> dict[str, Any]:
    files = {name: path.name for path, own in values.items() for name in own}
    return {**index, "metadata": {"total_size": written}, "weight_map": index["weight_map"] | files}


def _untied(source: Path) -> dict[str, Any]:
    """``config.json`` of a model whose head is its own."""
    config = read_config_file(source / "config.json")
    config = config if "text_config" in config else nested_config(source)
    for settings in (config, config["text_config"]):
        settings["tie_word_embeddings"] = False
    return config


def _values(tensor: Tensor, entry: Entry) -> Values:
    """A tensor in the precision in which the checkpoint holds it."""
    stored = tensor.detach().cpu().to(_DTYPES[entry.dtype]).contiguous()
    content = stored.view(torch.uint8).numpy().tobytes()
    return Values(dtype=entry.dtype, shape=tuple(tensor.shape), content=content)


def _write_adapter(folder: Path, parts: Parts) -> None:
    """LoRA as PEFT writes it, and the new head, norm and projector beside it."""
    folder.mkdir()
    if parts.lora_config is not None:
        settings = parts.lora_config.to_dict()
        settings["target_modules"] = sorted(parts.lora)
        settings["inference_mode"] = True
        text = json.dumps(settings, indent=1, default=str)
        (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
        factors = {f"base_model.model.{name}": tensor for name, tensor in parts.factors.items()}
        _save(factors, folder / "adapter_model.safetensors")
    _save(parts.whole, folder / DELTAS_FILE)


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
