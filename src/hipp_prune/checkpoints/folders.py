"""Checkpoint folders: opened, copied with changes, and written whole or not at all."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hipp_prune.checkpoints.card import write_card
from hipp_prune.checkpoints.configs import read_config_file, with_old_rope, write_config_file
from hipp_prune.checkpoints.ledger import LEDGER_FILE, PLAN_FILE
from hipp_prune.checkpoints.shards import (
    Change,
    Shard,
    Values,
    changed_bytes,
    read_shard,
    write_shard,
)
from hipp_prune.errors import CheckpointError, OutputExistsError
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.progress import Progress
from hipp_prune.files.replacing import check_folder, new_folder
from hipp_prune.files.system import cause_and_remedy
from hipp_prune.models.declared import INDEX, check_index, read_index
from hipp_prune.models.uneven import REMOTE_CODE, is_elastic_plan, write_code

_SINGLE = "model.safetensors"
_COPIED = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "LICENSE*", "NOTICE*")
"""Tokenizer, processor, chat template, generation config, licence; never weights of another format."""
_REPLACED = {"config.json", PLAN_FILE, LEDGER_FILE, REMOTE_CODE, INDEX, "pytorch_model.bin.index.json"}


def open_shards(source: Path) -> list[Shard]:
    """Reads the headers of a checkpoint's safetensors files.

    Raises:
        CheckpointError: if there are none, or one that the index names is missing or cut off.
    """
    if is_elastic_plan(source):
        raise CheckpointError(
            f"{source} is a plan of an elastic checkpoint, which lends it weights; expected a checkpoint of its own: "
            f"write it as one with `hipp-prune export {source} --format checkpoint --out OUT`"
        )
    hub_names = _tower(source) in (None, "clip_vision_model", "siglip_vision_model")
    if (source / INDEX).is_file():
        index = read_index(source)
        shards = [read_shard(source / name, hub_names=hub_names) for name in index.files]
        held = {shard.path.name: [entry.original for entry in shard.entries] for shard in shards}
        check_index(source, index, held)
        missing = index.weight_map.keys() - {name for names in held.values() for name in names}
        if missing:
            raise CheckpointError(
                f"{source}: the index names {len(missing)} tensors that no file holds, e.g. {min(missing)}; "
                "download the model again"
            )
        return shards
    if (source / _SINGLE).is_file():
        return [read_shard(source / _SINGLE, hub_names=hub_names)]
    if any(source.glob("*.bin")):
        raise CheckpointError(
            f"{source} has PyTorch .bin weights, expected safetensors; convert them first: load the model "
            "with transformers, call save_pretrained, and prune what that wrote"
        )
    raise CheckpointError(
        f"{source} has no {_SINGLE} and no {INDEX}; expected a folder with a complete checkpoint"
    )


def _tower(source: Path) -> str | None:
    """The model type of a checkpoint's vision tower; None if its configuration leaves it to the family."""
    path = source / "config.json"
    vision = read_config_file(path).get("vision_config") if path.is_file() else None
    return vision.get("model_type") if isinstance(vision, dict) else None


def write_folder(
    source: Path,
    out: Path,
    shards: Sequence[Shard],
    *,
    changes: Mapping[str, Change],
    values: Mapping[Path, Mapping[str, Values]],
    config: Mapping[str, Any],
    records: Mapping[str, str],
    dropped: Collection[str] = (),
    check: Callable[[Path], None] | None = None,
    progress: Progress | None = None,
) -> tuple[int, int]:
    """Writes a checkpoint, whole or not at all; returns the bytes of tensors before and after.

    Args:
        source: the checkpoint that is changed.
        out: folder to write.
        shards: the source's.
        changes: what happens to tensors, by name.
        values: the tensors that each file gains, or gets in place of its own.
        config: of the new checkpoint; where it names remote code, that is written too.
        records: further files by name: what was done.
        dropped: names of tensors to leave out.
        check: looks at the new folder, and may raise, before it takes its place.
        progress: called with (files written, files).

    Raises:
        CheckpointError: if ``out`` cannot be written.
    """
    needed = sum(changed_bytes(shard, changes, values[shard.path], dropped) for shard in shards)
    with whole_or_not_at_all(out, needed=needed) as folder:
        after = write_weights(source, shards, folder, changes, values, dropped, progress)
        assert after == needed, f"wrote {after} bytes of tensors instead of {needed}"
        copy_companions(source, folder)
        write_description(folder, config, records)
        write_card(folder, out.name)
        if check is not None:
            check(folder)
    return sum(shard.num_bytes for shard in shards), after


def write_description(folder: Path, config: Mapping[str, Any], records: Mapping[str, str]) -> None:
    """Writes what says of which kind weights are.

    Args:
        folder: to write into.
        config: ``config.json``; where it names remote code, that is written too.
        records: further files by name: what was done.
    """
    for name, text in records.items():
        (folder / name).write_text(text, encoding="utf-8")
    if "auto_map" in config:
        write_code(folder)
    write_config_file(folder / "config.json", with_old_rope(config))


def write_weights(
    source: Path,
    shards: Sequence[Shard],
    folder: Path,
    changes: Mapping[str, Change],
    values: Mapping[Path, Mapping[str, Values]],
    dropped: Collection[str],
    progress: Progress | None,
) -> int:
    """Writes every shard and the index; returns the bytes of tensors written.

    Args:
        source: as for ``write_folder``, like what follows.
        shards: the source's.
        folder: to write into.
        changes: what happens to tensors, by name.
        values: the tensors that each file gains.
        dropped: names of tensors to leave out.
        progress: called with (files written, files).
    """
    written = 0
    files: dict[str, str] = {}
    for done, shard in enumerate(shards, start=1):
        own = values[shard.path]
        written += write_shard(shard, folder / shard.path.name, changes, own, dropped)
        names = {entry.stored for entry in shard.entries if entry.name not in dropped} | own.keys()
        files |= dict.fromkeys(names, shard.path.name)
        if progress is not None:
            progress(done, len(shards))
    if (source / INDEX).is_file():
        index = read_config_file(source / INDEX)
        write_config_file(folder / INDEX, {**index, "metadata": {"total_size": written}, "weight_map": files})
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
        OutputExistsError: if ``out`` holds the source, or exists and ``force`` is false, or is none of our folders.
    """
    if source.resolve().is_relative_to(out.resolve()):
        raise OutputExistsError(f"{out} is or contains the source {source}; choose another output")
    check_folder(out, force=force)


@contextmanager
def whole_or_not_at_all(out: Path, *, needed: int) -> Iterator[Path]:
    """Yields a folder that takes the place of ``out`` once the body has succeeded and all is on the disk.

    Raises:
        CheckpointError: if there is too little space, or writing fails.
        RunError: if another process is writing ``out``.
    """
    with sole_writer(out):
        free = shutil.disk_usage(out.absolute().parent).free
        if free < needed:
            raise CheckpointError(
                f"{out} needs {needed:,} bytes, {free:,} are free; free space or choose another place"
            )
        try:
            with new_folder(out) as folder:
                yield folder
        except OSError as error:
            raise CheckpointError(
                f"cannot write {out}, which needs {needed:,} bytes: {cause_and_remedy(error, out)}"
            ) from error
