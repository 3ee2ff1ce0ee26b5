"""The recovered checkpoint: the source's files with the trained tensors exchanged, by surgery (``pruning.shards``)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from hipp_prune.checkpoints.card import write_card
from hipp_prune.checkpoints.configs import nested_config, read_config_file, with_old_rope, write_config_file
from hipp_prune.checkpoints.folders import copy_companions, whole_or_not_at_all
from hipp_prune.checkpoints.ledger import LEDGER_FILE, PLAN_FILE, RECOVERY_FILE
from hipp_prune.checkpoints.residual import HEAD
from hipp_prune.checkpoints.shards import Place, Shard, Values, write_shard
from hipp_prune.models.declared import INDEX
from hipp_prune.models.uneven import write_code
from hipp_prune.recovery.parts import Parts

ADAPTER_FOLDER = "adapter"
DELTAS_FILE = "deltas.safetensors"


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
        values[shard.path][HEAD if is_new else entry.name] = Values.of(tensor, entry.dtype)
    added = places[HEAD][1].num_bytes if parts.untied else 0
    config = _untied(source) if parts.untied else read_config_file(source / "config.json")
    with whole_or_not_at_all(out, needed=added + sum(shard.num_bytes for shard in shards)) as folder:
        written = sum(write_shard(s, folder / s.path.name, {}, values[s.path]) for s in shards)
        if (source / INDEX).is_file():
            write_config_file(
                folder / INDEX, _index(read_config_file(source / INDEX), shards, values, written)
            )
        copy_companions(source, folder)
        for name in (PLAN_FILE, LEDGER_FILE):
            if (source / name).is_file():
                copyfile(source / name, folder / name)
        write_config_file(folder / RECOVERY_FILE, record)
        if keep_adapter:
            _write_adapter(folder / ADAPTER_FOLDER, parts)
        if "auto_map" in config:
            write_code(folder)
        write_config_file(folder / "config.json", with_old_rope(config))
        write_card(folder, out.name, [_remark(record, parts)])
    return written


def _remark(record: Mapping[str, Any], parts: Parts) -> str:
    """What the model card says of the recovery."""
    untied = (
        " The head has weights of its own since then, which the table does not count." if parts.untied else ""
    )
    return (
        f"## Recovery\n\nFine-tuned for {len(record['losses'])} steps after pruning; `{RECOVERY_FILE}` says on which "
        f"questions and how.{untied}"
    )


def _index(
    index: dict[str, Any], shards: Sequence[Shard], values: Mapping[Path, Mapping[str, Values]], written: int
) -> dict[str, Any]:
    files = index["weight_map"] | {name: path.name for path, own in values.items() for name in own}
    stored = {entry.name: entry.stored for shard in shards for entry in shard.entries}
    weight_map = {stored.get(name, name): file for name, file in files.items()}
    return {**index, "metadata": {"total_size": written}, "weight_map": weight_map}


def _untied(source: Path) -> dict[str, Any]:
    """``config.json`` of a model whose head is its own."""
    config = nested_config(source)
    for settings in (config, config["text_config"]):
        settings["tie_word_embeddings"] = False
    return config


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
