"""A named baseline plans, and its checkpoint is written."""

from dataclasses import replace
from pathlib import Path

from hipp_prune.baselines.methods import Baseline, load_baseline
from hipp_prune.baselines.setting import Planned, Setting
from hipp_prune.checkpoints.heads import HeadPlan, write_heads
from hipp_prune.checkpoints.pruned import CheckpointReport, prune_checkpoint
from hipp_prune.checkpoints.residual import Slicing, write_sliced


def plan_baseline(method: Baseline, setting: Setting) -> Planned:
    """What a named method removes.

    Raises:
        InputError: if there is no such method.
        BudgetError: if it cannot remove so much.
    """
    planned = load_baseline(method).plan(setting)
    return replace(
        planned,
        notes={
            "method": method,
            "sparsity": setting.sparsity,
            "match": setting.config.match,
            **planned.notes,
        },
    )


def write_baseline(
    method: Baseline,
    setting: Setting,
    planned: Planned,
    source: Path,
    out: Path,
    *,
    force: bool = False,
) -> CheckpointReport:
    """Writes the checkpoint of what a baseline planned, with the biases of methods that compensate.

    Args:
        method: who planned.
        setting: what it was given.
        planned: what it said.
        source: the model's checkpoint folder.
        out: checkpoint folder to make.
        force: replaces a checkpoint that is there.

    Raises:
        CheckpointError, OutputExistsError: see ``prune_checkpoint``.
    """
    if isinstance(planned, Slicing):
        return write_sliced(source, setting.adapter, planned, out, force=force)
    if isinstance(planned, HeadPlan):
        return write_heads(source, setting.adapter, planned, out, force=force)
    compensate = load_baseline(method).down_biases
    biases = None if compensate is None else compensate(setting, planned)
    shape = setting.adapter.shape
    return prune_checkpoint(source, planned, out, down_biases=biases, shape=shape, force=force)
