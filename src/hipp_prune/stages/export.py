"""From a checkpoint to what other runtimes load, and to the hub."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from hipp_prune.errors import CheckpointError, InputError
from hipp_prune.export.checkpoint import export_checkpoint
from hipp_prune.export.exported import Exported, check_plan
from hipp_prune.export.formats import ExportFormat, QuantisedFormat
from hipp_prune.export.gguf import write_gguf
from hipp_prune.export.hub import push_checkpoint
from hipp_prune.export.onnx import write_onnx
from hipp_prune.export.pad import write_padded
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.capabilities import refuse_incapable
from hipp_prune.models.family import Capability
from hipp_prune.models.loading import find_source, local_folder
from hipp_prune.models.uneven import is_elastic_plan
from hipp_prune.stages.loading import Model, name_of_model, source_folder, writing
from hipp_prune.stages.quantise import quantise
from hipp_prune.stages.settings import ExportSettings

WRITERS: dict[ExportFormat, Callable[..., Exported]] = {
    "padded": write_padded,
    "gguf": write_gguf,
    "onnx": write_onnx,
    "checkpoint": export_checkpoint,
    **{format: partial(quantise, format) for format in get_args(QuantisedFormat)},
}
"""Who writes each format."""
assert set(WRITERS) == set(get_args(ExportFormat)), "every format has one who writes it"

_OPTIONS: dict[str, tuple[ExportFormat, ...]] = {
    "precision": ("gguf",),
    "token_ids": ("gguf",),
    "group_size": ("gptq", "awq"),
    **dict.fromkeys(("questions", "count", "limit", "seed"), get_args(QuantisedFormat)),
}
"""Settings that some formats have alone."""


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
        checkpoint: a checkpoint that ``prune``, ``baseline`` or ``recover`` wrote, a plan of an elastic one, or any
            other model.
        format: which.
        out: file or folder to make.
        settings: what the formats may be told.
        force: replaces what is there.
        progress: told (parts done, parts in all).

    Raises:
        OutputExistsError: if ``out`` is there and ``force`` is false.
        RunError: if another process is writing ``out``.
        InputError: if the runtime cannot take such a model, a package is missing that writes its format, or a format
            is asked for what only another has.
    """
    options = _options(format, settings)
    with _opened(checkpoint, format) as source, writing(out):
        capability = "quantising" if format in get_args(QuantisedFormat) else format
        if capability in get_args(Capability):
            refuse_incapable(source, cast("Capability", capability))
        check_plan(source, masked=settings.masked)
        return WRITERS[format](source, out, force=force, progress=progress, **options)


def _opened(checkpoint: Model, format: ExportFormat) -> AbstractContextManager[Path]:
    """The folder that is exported: a checkpoint of its own, but for ``checkpoint``, which makes one of a plan.

    Raises:
        InputError: if ``checkpoint`` is asked for of what is a checkpoint of its own already.
    """
    if format != "checkpoint":
        return source_folder(checkpoint)
    folder = None if isinstance(checkpoint, Adapter) else local_folder(checkpoint)
    if folder is None or not is_elastic_plan(folder):
        raise InputError(
            f"--format checkpoint makes a checkpoint of one plan of an elastic checkpoint, e.g. ELASTIC/0.3, found "
            f"{name_of_model(checkpoint)}, which is none; give another format, or use it as it is"
        )
    return nullcontext(folder)


def _options(format: ExportFormat, settings: ExportSettings) -> dict[str, Any]:
    """The settings that a format has.

    Raises:
        InputError: naming a setting that it has not, but that was given.
    """
    for field in fields(settings):
        formats = _OPTIONS.get(field.name, (format,))
        if format not in formats and getattr(settings, field.name) != field.default:
            raise InputError(
                f"--{field.name.replace('_', '-')} is about {', '.join(formats)}, not {format}; leave it out, or give "
                f"--format {formats[0]}"
            )
    return {name: getattr(settings, name) for name, formats in _OPTIONS.items() if format in formats}


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
