"""From a plan to a smaller checkpoint."""

from pathlib import Path

from hipp_prune.checkpoints.ledger import PLAN_FILE
from hipp_prune.checkpoints.pruned import CheckpointReport, prune_checkpoint
from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import ModelShape
from hipp_prune.stages.loading import writing
from hipp_prune.stages.query import query
from hipp_prune.stages.settings import QuerySettings


def prune(
    model: str,
    plan: Plan | Path,
    out: Path,
    *,
    shape: ModelShape | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Writes the smaller checkpoint that a plan describes.

    Args:
        model: the one the plan was made for, as in ``calibrate``.
        plan: the plan, or its file.
        out: checkpoint folder to make.
        shape: of the model, where it is known already; otherwise it is read from the checkpoint.
        force: replaces a checkpoint that is there.
        progress: told (shards done, shards in all).

    Raises:
        PlanError: if the plan was made for another model.
        OutputExistsError: if ``out`` is there and ``force`` is false.
        CheckpointError: if the source is damaged or the disk is full.
        RunError: if another process is writing ``out``.
    """
    loaded = Plan.load(plan) if isinstance(plan, Path) else plan
    with writing(out):
        return prune_checkpoint(local_folder(model), loaded, out, shape=shape, force=force, progress=progress)


def prune_searched(
    run: Path,
    preference: Preference,
    out: Path,
    settings: QuerySettings = QuerySettings(),
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Asks a searched run for a preference, and writes the smaller checkpoint of its model.

    Args:
        run: a searched run directory.
        preference: what counts how much.
        out: checkpoint folder to make.
        settings: sparsity, and which widths the plan may have.
        force: replaces a checkpoint that is there.
        progress: told (shards done, shards in all).

    Raises:
        HippPruneError: see ``query`` and ``prune``.
    """
    plan = query(run, preference, settings)
    return prune(RunDirectory(run).provenance().model, plan, out, force=force, progress=progress)


def checkpoint_plan(model: str) -> Plan | None:
    """The plan a checkpoint was pruned by; None for a dense or a sliced model."""
    path = local_folder(model) / PLAN_FILE
    return Plan.load(path) if path.is_file() else None
