"""The baselines by name, and what each leaves on the disk."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from hipp_prune.baselines import ecoflap, flap, llm_pruner, owl, random, slicegpt, uniform, wanda
from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.checkpoints.heads import HeadPlan, write_heads
from hipp_prune.checkpoints.pruned import CheckpointReport, prune_checkpoint
from hipp_prune.checkpoints.residual import Slicing, write_sliced
from hipp_prune.errors import InputError
from hipp_prune.plans.choices import Baseline
from hipp_prune.plans.plan import Plan

Planned = Plan | HeadPlan | Slicing
"""What a baseline removes: neurons, heads beside them, or coordinates of the residual stream."""

BASELINES: dict[Baseline, Callable[[Setting], Planned]] = {
    "uniform": uniform.uniform,
    "magnitude": uniform.magnitude,
    "random": random.random_allocation,
    "random-neurons": random.random_neurons,
    "wanda-rows": wanda.rows,
    "wanda-coupled": wanda.coupled,
    "wanda-global": wanda.globally,
    "llm-pruner": llm_pruner.llm_pruner,
    "flap": flap.flap,
    "owl": owl.owl,
    "ecoflap": ecoflap.ecoflap,
    "slicegpt": slicegpt.slicegpt,
}
"""How each method chooses."""

COMPENSATIONS: dict[Baseline, Callable[[Setting, Plan], Sequence[Tensor]]] = {"flap": flap.down_biases}
"""For methods that change more than what they remove: the biases of the down projections."""


def only_neurons(method: Baseline, config: BaselineSettings) -> bool:
    """Whether a method leaves all but the MLPs' neurons alone."""
    return method != "slicegpt" and not (method == "llm-pruner" and config.attention)


def plan_baseline(method: Baseline, setting: Setting) -> Planned:
    """What a named method removes.

    Raises:
        InputError: if there is no such method.
        BudgetError: if it cannot remove so much.
    """
    if method not in BASELINES:
        raise InputError(f"there is no baseline {method!r}; choose one of {', '.join(BASELINES)}")
    planned = BASELINES[method](setting)
    return replace(planned, notes={"method": method, "sparsity": setting.sparsity, **planned.notes})


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

    Raises:
        CheckpointError, OutputExistsError: see ``prune_checkpoint``.
    """
    if isinstance(planned, Slicing):
        return write_sliced(source, setting.adapter, planned, out, force=force)
    if isinstance(planned, HeadPlan):
        return write_heads(source, setting.adapter, planned, out, force=force)
    biases = COMPENSATIONS[method](setting, planned) if method in COMPENSATIONS else None
    shape = setting.adapter.shape
    return prune_checkpoint(source, planned, out, down_biases=biases, shape=shape, force=force)
