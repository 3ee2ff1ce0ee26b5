"""From a checkpoint to what other runtimes load, and to the hub."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

from hipp_prune.errors import CheckpointError, InputError
from hipp_prune.export.exported import Exported, check_plan
from hipp_prune.export.formats import ExportFormat
from hipp_prune.export.gguf import write_gguf
from hipp_prune.export.hub import push_checkpoint
from hipp_prune.export.onnx import write_onnx
from hipp_prune.export.pad import write_padded
from hipp_prune.files.progress import Progress
from hipp_prune.models.capabilities import refuse_incapable
from hipp_prune.models.loading import find_source
from hipp_prune.stages.loading import Model, source_folder, writing
from hipp_prune.stages.settings import ExportSettings

WRITERS: dict[ExportFormat, Callable[..., Exported]] = {
    "padded": write_padded,
    "gguf": write_gguf,
    "onnx": write_onnx,
}
"""Who writes each format."""
assert set(WRITERS) == set(get_args(ExportFormat)), "every format has one who writes it"


def export(
    checkpoint: Model,
    format: ExportFormat,
    out: Path,
    settings: ExportSettings = ExportSettings(),
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Writes a checkpoint in another runtime's format, whole or not at all.

    Args:
        checkpoint: a checkpoint that ``prune``, ``baseline`` or ``recover`` wrote, or any other model.
        format: which.
        out: file or folder to make.
        settings: what the formats may be told.
        force: replaces what is there.
        progress: told (parts done, parts in all).

    Raises:
        OutputExistsError: if ``out`` is there and ``force`` is false.
        RunError: if another process is writing ``out``.
        InputError: if the runtime cannot take such a model, a package is missing that writes its format, or another
            format than GGUF is asked for what only that has.
    """
    precision, token_ids = settings.precision, settings.token_ids
    if format != "gguf" and (precision != "stored" or token_ids):
        raise InputError(
            f"--precision and --token-ids are about GGUF files, not {format}; leave them out, or give --format gguf"
        )
    options = {"precision": precision, "token_ids": token_ids} if format == "gguf" else {}
    with source_folder(checkpoint) as source, writing(out):
        refuse_incapable(source, format)
        check_plan(source, masked=settings.masked)
        return WRITERS[format](source, out, force=force, progress=progress, **options)


def push(checkpoint: str, name: str, *, private: bool = False) -> str:
    """Puts a checkpoint folder and its model card on the Hugging Face hub; returns its address there.

    Args:
        checkpoint: a folder that ``prune``, ``baseline``, ``recover`` or ``export`` (padded) wrote.
        name: OWNER/NAME; the repository is made if it is not there.
        private: whether a repository that is made now is for its owner alone.

    Raises:
        CheckpointError: if the folder is no complete checkpoint of ours.
        PlanError: if a plan of another model lies in it.
        InputError: if there is no token, or the hub cannot be reached or refuses.
    """
    source = find_source(checkpoint)
    if not isinstance(source, Path):
        raise CheckpointError(f"{checkpoint}: there is no such folder here; push takes a checkpoint folder")
    return push_checkpoint(source, name, private=private)
