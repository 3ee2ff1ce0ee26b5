"""A smaller checkpoint from a plan, by surgery: MLP tensors are cut, everything else is copied as it is.

Nothing goes through ``save_pretrained``: hub key names, dtypes and shards stay, and the weights pass through
memory one tensor at a time. What comes out loads bit by bit alike with our own loader and with plain
``AutoModelForImageTextToText.from_pretrained(path, trust_remote_code=True)``; where all blocks end up equally
wide it is a stock model that needs no remote code.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor
from transformers import AutoConfig
from transformers.models.auto import modeling_auto

from hipp_prune.choices import UnitKind
from hipp_prune.errors import CheckpointError, OutputExistsError, UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.models.uneven import DOWN_BIAS, REMOTE_CODE, write_code
from hipp_prune.plan import Plan
from hipp_prune.pruning.shards import Cut, Entry, Shard, Values, read_shard, write_shard
from hipp_prune.run import Progress
from hipp_prune.space import ModelShape

PLAN_FILE = "plan.json"

INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_COPIED = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "LICENSE*", "NOTICE*")
"""Tokenizer, processor, chat template, generation config, licence; never weights of another format."""
_REPLACED = {"config.json", PLAN_FILE, REMOTE_CODE, INDEX, "pytorch_model.bin.index.json"}

_MLP = re.compile(r"(?:^|\.)layers\.(\d+)\.mlp\.(gate|up|down)_proj\.(weight|bias)$")
_OTHER_TOWER = re.compile(r"vision|visual|image|audio")
"""Qwen's vision blocks have gate, up and down projections too: such names are never the language model's."""

_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class CheckpointReport:
    """What ``prune_checkpoint`` wrote; bytes are those of the tensors, without file headers."""

    path: Path
    unit: UnitKind
    widths: tuple[int, ...]
    """MLP neurons of each block as stored."""
    bytes_before: int
    bytes_after: int
    """Measured on the files."""
    predicted_bytes: int
    """What the plan's kept counts promised; equal to ``bytes_after``."""
    remote_code: bool
    """Whether other programs need ``trust_remote_code=True`` to load it."""

    @property
    def summary(self) -> str:
        """One sentence for people: what was saved, or that nothing was."""
        if self.unit == "rows":
            return (
                f"nothing is saved: row masks leave every tensor its size, so {self.path} still holds "
                f"{self.bytes_after:,} bytes, masked rows as zeros; prune with the coupled unit to save"
            )
        saved = 1 - self.bytes_after / self.bytes_before
        return (
            f"{self.path}: {self.bytes_before:,} → {self.bytes_after:,} bytes of tensors ({saved:.1%} saved)"
        )


def prune_checkpoint(
    source: Path,
    plan: Plan,
    out: Path,
    *,
    down_biases: Sequence[Tensor] | None = None,
    shape: ModelShape | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Writes the checkpoint that ``plan`` makes of ``source``, whole or not at all.

    ``coupled`` plans remove tensor slices. The rows of ``rows`` plans are stored as zeros and nothing gets
    smaller: gate and up lose different rows, and down's rows are coordinates of the residual stream.

    Args:
        source: checkpoint folder with safetensors weights, one file or several.
        plan: made for exactly this model.
        out: folder to write; its parent is made if need be.
        down_biases: what the down projection of each block gets as its bias, [hidden] each, in place of its own.
        shape: the source's shape if the caller knows it; otherwise the model is loaded (memory-mapped) to find
            out.
        force: replace a checkpoint that is already there.
        progress: called with (files written, files).

    Raises:
        CheckpointError: if the source is incomplete, quantised or not safetensors, or ``out`` cannot be
            written.
        PlanError: if the plan was made for another model.
        OutputExistsError: if ``out`` exists and ``force`` is false, or it is no checkpoint.
        UnsupportedModelError: if transformers has no class for the source's ``model_type``.
    """
    check_output(source, out, force=force)
    shards = open_shards(source)
    plan.check_model(load_model(source).shape if shape is None else shape)
    entries = _mlp_entries(shards, plan.shape)
    cuts = _cuts(entries, plan)
    coupled = plan.unit == "coupled"
    assert coupled or down_biases is None, "row plans keep their biases"
    widths = plan.kept if coupled else plan.shape.neurons
    config = (
        _config(source, widths, down_bias=down_biases is not None)
        if coupled
        else read_config_file(source / "config.json")
    )
    biases = _bias_values(entries, down_biases or ())
    before = sum(shard.num_bytes for shard in shards)
    predicted = before - _removed_bytes(entries, plan) + _added_bytes(entries, biases)
    with whole_or_not_at_all(out, needed=predicted) as folder:
        after = _write_weights(source, shards, cuts, biases, folder, progress)
        assert after == predicted, f"wrote {after} bytes of tensors, the plan predicted {predicted}"
        copy_companions(source, folder)
        (folder / PLAN_FILE).write_text(plan.to_json(), encoding="utf-8")
        if "auto_map" in config:
            write_code(folder)
        write_config_file(folder / "config.json", config)
    return CheckpointReport(
        path=out, unit=plan.unit, widths=tuple(widths), bytes_before=before, bytes_after=after,
        predicted_bytes=predicted, remote_code="auto_map" in config,
    )  # fmt: skip


def open_shards(source: Path) -> list[Shard]:
    """Reads the headers of a checkpoint's safetensors files.

    Raises:
        CheckpointError: if there are none, or one that the index names is missing or cut off.
    """
    if (source / INDEX).is_file():
        weight_map: dict[str, str] = read_config_file(source / INDEX)["weight_map"]
        shards = [read_shard(source / name) for name in sorted(set(weight_map.values()))]
        missing = set(weight_map) - {entry.name for shard in shards for entry in shard.entries}
        if missing:
            raise CheckpointError(
                f"{source}: the index names {len(missing)} tensors that no file holds, e.g. {min(missing)}; "
                "download the model again"
            )
        return shards
    if (source / _SINGLE).is_file():
        return [read_shard(source / _SINGLE)]
    if any(source.glob("*.bin")):
        raise CheckpointError(
            f"{source} has PyTorch .bin weights, expected safetensors; convert them first: load the model "
            "with transformers, call save_pretrained, and prune what that wrote"
        )
    raise CheckpointError(
        f"{source} has no {_SINGLE} and no {INDEX}; expected a folder with a complete checkpoint"
    )


def _mlp_entries(shards: Sequence[Shard], shape: ModelShape) -> dict[tuple[int, str, str], Entry]:
    """The language model's MLP tensors by (block, projection, weight or bias), each exactly once."""
    found: dict[tuple[int, str, str], Entry] = {}
    for entry in (entry for shard in shards for entry in shard.entries):
        match = _MLP.search(entry.name)
        if match is None or _OTHER_TOWER.search(entry.name[: match.start()]):
            continue
        key = (int(match[1]), match[2], match[3])
        if key in found:
            raise CheckpointError(
                f"{entry.name} and {found[key].name} are both the {match[2]}_proj.{match[3]} of "
                f"block {match[1]}; expected one language model"
            )
        found[key] = entry
    for block, neurons in enumerate(shape.neurons):
        for projection in ("gate", "up", "down"):
            rows = (neurons, shape.hidden_size)
            expected = rows[::-1] if projection == "down" else rows
            _check_weight(
                found.get((block, projection, "weight")), expected, f"{projection}_proj of block {block}"
            )
    return found


def _check_weight(entry: Entry | None, expected: tuple[int, ...], what: str) -> None:
    if entry is None or entry.shape != expected or entry.dtype not in _FLOATS:
        state = "none" if entry is None else f"{entry.name} with shape {list(entry.shape)} of {entry.dtype}"
        raise CheckpointError(
            f"expected one floating-point weight of shape {list(expected)} for {what}, found {state}; "
            "prune the model before quantising or fusing it"
        )


def _cuts(entries: Mapping[tuple[int, str, str], Entry], plan: Plan) -> dict[str, Cut]:
    """What happens to each MLP tensor, by its name in the checkpoint."""
    masks = plan.keep_masks()
    cuts = {}
    for (block, projection, kind), entry in entries.items():
        if plan.unit == "rows":
            keep = masks[3 * block + ("gate", "up", "down").index(projection)]
            cuts[entry.name] = Cut(keep=keep, axis=0, zero=True)
        elif projection != "down" or kind == "weight":
            cuts[entry.name] = Cut(keep=masks[block], axis=1 if projection == "down" else 0)
    return cuts


def _removed_bytes(entries: Mapping[tuple[int, str, str], Entry], plan: Plan) -> int:
    """Bytes that leave with the plan's neurons, from its counts alone: what the files are held against."""
    if plan.unit == "rows":
        return 0
    removed = 0
    for (block, projection, kind), entry in entries.items():
        if projection != "down" or kind == "weight":
            width = plan.shape.neurons[block]
            removed += entry.num_bytes // width * (width - plan.kept[block])
    return removed


def _bias_values(
    entries: Mapping[tuple[int, str, str], Entry], biases: Sequence[Tensor]
) -> dict[str, Values]:
    """The down projections' new biases by their names in the checkpoint, in their weights' dtypes."""
    values = {}
    for block, bias in enumerate(biases):
        weight = entries[block, "down", "weight"]
        content = bias.detach().cpu().to(_FLOATS[weight.dtype]).contiguous().view(torch.uint8)
        name = weight.name.removesuffix("weight") + "bias"
        values[name] = Values(dtype=weight.dtype, shape=tuple(bias.shape), content=content.numpy().tobytes())
    return values


def _added_bytes(entries: Mapping[tuple[int, str, str], Entry], values: Mapping[str, Values]) -> int:
    replaced = sum(entry.num_bytes for entry in entries.values() if entry.name in values)
    return sum(len(value.content) for value in values.values()) - replaced


def _config(source: Path, widths: Sequence[int], *, down_bias: bool) -> dict[str, Any]:
    """``config.json`` of the pruned model: stock if all blocks are equally wide and no bias is new, else uneven."""
    config = read_config_file(source / "config.json")
    if "text_config" not in config:
        config = nested_config(source)
    text = config["text_config"]
    text.pop("per_layer_config", None)
    config.pop("auto_map", None)
    if down_bias:
        text[DOWN_BIAS] = True
    if len(set(widths)) == 1:
        text["intermediate_size"] = widths[0]
    else:
        text["per_layer_config"] = {
            str(block): {"intermediate_size": width} for block, width in enumerate(widths)
        }
    if len(set(widths)) == 1 and not text.get(DOWN_BIAS):
        return config
    config["auto_map"] = _auto_map(config["model_type"])
    return config


def nested_config(source: Path) -> dict[str, Any]:
    """The config of a checkpoint that keeps its text settings at the top (Qwen2.5-VL on the hub), nested."""
    config: dict[str, Any] = AutoConfig.from_pretrained(source).to_dict()
    if "text_config" not in config:
        raise UnsupportedModelError(
            f"{source}: expected a model with a text_config, found {config['model_type']}"
        )
    return config


def _auto_map(model_type: str) -> dict[str, str]:
    names: dict[str, Mapping[str, Any]] = {
        "AutoModel": modeling_auto.MODEL_MAPPING_NAMES,
        "AutoModelForImageTextToText": modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    }
    if not all(model_type in classes for classes in names.values()):
        raise UnsupportedModelError(
            f"expected a model_type that transformers has an image-text-to-text class for, found "
            f"{model_type!r}; only those can be stored with blocks of uneven width"
        )
    return {
        auto: f"{REMOTE_CODE.removesuffix('.py')}.{classes[model_type]}" for auto, classes in names.items()
    }


def _write_weights(
    source: Path,
    shards: Sequence[Shard],
    cuts: Mapping[str, Cut],
    biases: Mapping[str, Values],
    folder: Path,
    progress: Progress | None,
) -> int:
    """Writes every shard and the index; returns the bytes of tensors written. A new bias goes where its weight is."""
    written = 0
    files: dict[str, str] = {}
    known = {entry.name for shard in shards for entry in shard.entries}
    for done, shard in enumerate(shards, start=1):
        here = {entry.name for entry in shard.entries}
        own = {
            name: value
            for name, value in biases.items()
            if (name if name in known else name.removesuffix("bias") + "weight") in here
        }
        written += write_shard(shard, folder / shard.path.name, cuts, own)
        files |= dict.fromkeys(own, shard.path.name)
        if progress is not None:
            progress(done, len(shards))
    if (source / INDEX).is_file():
        index = read_config_file(source / INDEX)
        write_config_file(
            folder / INDEX,
            {**index, "metadata": {"total_size": written}, "weight_map": index["weight_map"] | files},
        )
    return written


def copy_companions(source: Path, folder: Path) -> None:
    """Copies what lies beside the weights: tokenizer, processor, chat template, licence."""
    for pattern in _COPIED:
        for path in source.glob(pattern):
            if path.is_file() and path.name not in _REPLACED:
                shutil.copyfile(path, folder / path.name)
    for path in source.glob("*/*.jinja"):
        (folder / path.parent.name).mkdir(exist_ok=True)
        shutil.copyfile(path, folder / path.parent.name / path.name)


def check_output(source: Path, out: Path, *, force: bool) -> None:
    """Refuses an output that must not be replaced, before any work is done.

    Raises:
        OutputExistsError: if ``out`` holds the source, or exists and ``force`` is false, or is no checkpoint.
    """
    if source.resolve().is_relative_to(out.resolve()):
        raise OutputExistsError(f"{out} is or contains the source {source}; choose another output")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise OutputExistsError(f"{out} already exists; choose another output or add --force to replace it")
    if not (out / "config.json").is_file():
        raise OutputExistsError(
            f"{out} is no checkpoint, so --force does not replace it; remove it or choose another output"
        )


@contextmanager
def whole_or_not_at_all(out: Path, *, needed: int) -> Iterator[Path]:
    """Yields a folder beside ``out`` that takes its name once the body has succeeded and all is on the disk.

    Raises:
        CheckpointError: if there is too little space, or writing fails.
    """
    parent = out.absolute().parent
    folder = parent / f".{out.name}.{uuid4().hex[:8]}.tmp"
    try:
        folder.mkdir(parents=True)
        free = shutil.disk_usage(parent).free
        if free < needed:
            raise CheckpointError(
                f"{out} needs {needed:,} bytes, {free:,} are free; free space or choose another place"
            )
        yield folder
        for path in (*folder.rglob("*"), folder):
            _flush(path)
        _take_place(folder, out)
        _flush(parent)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {out}, which needs {needed:,} bytes: {error.strerror or error}; free space or "
            "choose another place"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_place(folder: Path, out: Path) -> None:
    """Renames ``folder`` to ``out``; what was there is deleted afterwards, or comes back if that fails."""
    old = folder.with_suffix(".old") if out.exists() else None
    if old is not None:
        out.rename(old)
    try:
        folder.rename(out)
    except OSError:
        if old is not None:
            old.rename(out)
        raise
    if old is not None:
        shutil.rmtree(old)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_config_file(path: Path) -> dict[str, Any]:
    """One of a checkpoint's JSON files.

    Raises:
        CheckpointError: if it is missing or not JSON.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is missing or not JSON ({error}); expected a complete checkpoint"
        ) from error
    return content


def write_config_file(path: Path, content: Mapping[str, Any]) -> None:
    """Writes one of a checkpoint's JSON files as transformers does."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
