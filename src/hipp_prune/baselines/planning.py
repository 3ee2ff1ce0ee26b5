"""A named baseline plans, and its checkpoint is written."""

from dataclasses import replace
from pathlib import Path

from hipp_prune.baselines.methods import Baseline, load_baseline
from hipp_prune.baselines.setting import Planned, Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.checkpoints.heads import HeadPlan, write_heads
from hipp_prune.checkpoints.pruned import CheckpointReport, prune_checkpoint
from hipp_prune.checkpoints.residual import Slicing, write_sliced
from hipp_prune.errors import InputError
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.compensated import DownWeight, down_biases, fitted_downs, made_before, require_grams
from hipp_prune.pruning.reconstruction import gates_and_ups
from hipp_prune.pruning.sequential import fit_sequentially


def plan_baseline(method: Baseline, setting: Setting) -> Planned:
    """What a named method removes.

    Raises:
        InputError: if there is no such method, or what it removes cannot be compensated for as the settings ask.
        BudgetError: if it cannot remove so much.
        UnsupportedModelError: if the model has not what it removes.
    """
    check_capable(method, setting.adapter, setting.settings)
    heuristic, asked = load_baseline(method), setting.settings.compensation
    whole = heuristic.whole_neurons(setting.settings)
    if asked not in ("auto", "none") and not whole:
        raise InputError(
            f"{method} removes what {asked} compensation does not know; leave --compensation out"
        )
    planned = heuristic.plan(setting)
    told = {"method": method, "sparsity": setting.sparsity, "match": setting.settings.match}
    planned = replace(planned, notes={**told, **planned.notes})
    if isinstance(planned, HeadPlan):
        neurons = _compensated(setting, planned.neurons)
        if neurons.compensation in ("bias", "sequential"):
            raise InputError(
                f"{method} with attention has no {neurons.compensation} compensation; choose --compensation ridge "
                "or none"
            )
        return replace(planned, neurons=neurons, notes=planned.notes | neurons.notes)
    return _compensated(setting, planned) if whole and isinstance(planned, Plan) else planned


def check_capable(method: Baseline, adapter: Adapter, settings: BaselineSettings) -> None:
    """Refuses a model where more than neurons would leave and cannot; cheap, so ask before anything is measured.

    Raises:
        InputError: if there is no such method.
        UnsupportedModelError: saying what the model has instead.
    """
    heuristic = load_baseline(method)
    if not heuristic.only_neurons(settings):
        heuristic.refuse_model(adapter)


def _compensated(setting: Setting, plan: Plan) -> Plan:
    """The plan, saying how the neurons that stay answer for the others."""
    mode = setting.settings.compensation
    if mode == "auto":
        own = plan.compensation
        mode = own if own != "none" or setting.grams is None else "ridge"
    factor = require_grams(setting.grams).factor if mode == "ridge" else None
    weight = plan.image_weight if "image_weight" in plan.notes else setting.settings.image_weight
    return plan.with_compensation(mode, weight, factor, reconstruct_minutes=setting.settings.reconstruct)


def write_baseline(
    setting: Setting,
    planned: Planned,
    source: Path,
    out: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Writes the checkpoint of what a baseline planned, compensated as the plan says.

    Args:
        setting: what it was given.
        planned: what it said.
        source: the model's checkpoint folder.
        out: checkpoint folder to make.
        force: replaces a checkpoint that is there.
        progress: told (blocks done, blocks in all) where they are fitted one after the other.

    Raises:
        CheckpointError, OutputExistsError: see ``prune_checkpoint``.
    """
    if isinstance(planned, Slicing):
        return write_sliced(source, setting.adapter, planned, out, force=force)
    neurons = planned.neurons if isinstance(planned, HeadPlan) else planned
    mode, masks, weight = neurons.compensation, neurons.keep_masks(), neurons.image_weight
    adapter, calibration = setting.adapter, setting.calibration
    fitted: DownWeight | None = None
    gates_ups = None
    if mode == "ridge":
        fitted = fitted_downs(require_grams(setting.grams), masks, weight)
    if mode == "sequential":
        mlps = fit_sequentially(
            adapter, setting.questions, masks, image_weight=weight, batch_size=setting.settings.batch_size,
            minutes=setting.settings.reconstruct, progress=progress,
        )  # fmt: skip
        fitted, gates_ups = made_before([mlp.down for mlp in mlps]), gates_and_ups(mlps)
    if isinstance(planned, HeadPlan):
        return write_heads(source, adapter, planned, out, down_weights=fitted, force=force)
    return prune_checkpoint(
        source,
        planned,
        out,
        down_weights=fitted,
        down_biases=down_biases(adapter, calibration, masks, weight) if mode == "bias" else None,
        gate_up_weights=gates_ups,
        shape=adapter.shape,
        force=force,
    )
