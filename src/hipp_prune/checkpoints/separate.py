"""One plan of an elastic checkpoint, written as a checkpoint of its own."""

from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.checkpoints.elastic import measure_plan, own_tensors
from hipp_prune.checkpoints.folders import check_output, open_shards, write_folder
from hipp_prune.checkpoints.ledger import PLAN_FILE
from hipp_prune.checkpoints.pruned import CheckpointReport, by_file, pruned_config
from hipp_prune.checkpoints.shards import Change, Cut, Fitted, Place, Values, read_tensor
from hipp_prune.errors import PlanError
from hipp_prune.files.manifest import check_all
from hipp_prune.files.progress import Progress
from hipp_prune.models.declared import check_config
from hipp_prune.models.uneven import DOWN_BIAS, read_prefixes
from hipp_prune.plans.plan import Plan


def separate_plan(
    folder: Path, out: Path, *, force: bool = False, progress: Progress | None = None
) -> CheckpointReport:
    """Writes a plan of an elastic checkpoint as a checkpoint of its own, whole or not at all.

    Args:
        folder: the plan's.
        out: folder to write.
        force: replace a checkpoint that is already there.
        progress: called with (files written, files).

    Raises:
        PlanError: if it is a plan of rows, which leave a checkpoint of its own every tensor its size.
        CheckpointError: if a file is missing or damaged, or ``out`` cannot be written.
        RunError: if a file of the elastic checkpoint is no longer what we wrote.
        OutputExistsError: if ``out`` exists and ``force`` is false, or it is no checkpoint.
    """
    root = folder.parent
    check_all(root)
    check_config(folder)
    plan = Plan.load(folder / PLAN_FILE)
    if plan.unit == "rows":
        raise PlanError(
            f"{folder} is a plan of rows: a checkpoint of its own holds them as zeros, at full size; prune the dense "
            f"model by {folder / PLAN_FILE} to write that, or load the plan as it is"
        )
    check_output(root, out, force=force)
    shards, prefixes, own = open_shards(root), read_prefixes(folder), own_tensors(folder)
    entries = {entry.name: entry for shard in shards for entry in shard.entries}
    changes: dict[str, Change] = {}
    for entry in entries.values():
        if entry.stored in prefixes:
            axis, width = prefixes[entry.stored]
            changes[entry.name] = Cut(keep=np.arange(entry.shape[axis]) < width, axis=axis)
    values: dict[str, Values] = {}
    for name, (entry, place) in own.items():
        if name in entries and len(entry.shape) == 2:
            keep = np.arange(entries[name].shape[1]) < entry.shape[1]
            changes[name] = Fitted(keep=keep, dtype=entry.dtype, fit=partial(_instead, place))
        else:
            values[name] = Values.of(read_tensor(place), entry.dtype)
    text = read_config_file(folder / "config.json")["text_config"]
    config = pruned_config(root, plan.kept, down_bias=bool(text.get(DOWN_BIAS)))
    before, after = write_folder(
        root, out, shards, changes=changes, values=by_file(shards, values), config=config,
        records={PLAN_FILE: plan.to_json()}, progress=progress,
    )  # fmt: skip
    return CheckpointReport(
        path=out, unit=plan.unit, widths=plan.kept, bytes_before=before, bytes_after=after,
        predicted_bytes=measure_plan(folder).loaded, remote_code="auto_map" in config,
    )  # fmt: skip


def _instead(place: Place, _: Tensor) -> Tensor:
    """What lies somewhere, whatever it stands in place of."""
    return read_tensor(place)
