"""From a plan to a smaller checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from hipp_prune.checkpoints.folders import check_output
from hipp_prune.checkpoints.ledger import PLAN_FILE
from hipp_prune.checkpoints.pruned import CheckpointReport, prune_checkpoint
from hipp_prune.checkpoints.saving import num_bytes, save_model
from hipp_prune.errors import InputError
from hipp_prune.files.progress import Progress
from hipp_prune.files.replacing import check_folder
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.modes import Compensation, CompensationChoice, check_reconstruction
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import ModelShape
from hipp_prune.pruning.compensated import DownWeight, down_biases, fitted_downs, made_before, require_grams
from hipp_prune.pruning.cutting import cut_neurons
from hipp_prune.pruning.reconstruction import PrunedMlp, gates_and_ups
from hipp_prune.pruning.sequential import fit_plans, fit_sequentially
from hipp_prune.stages.dense_model import dense_model
from hipp_prune.stages.loading import CalibratedRun, Model, QuestionsInMemory, load, writing
from hipp_prune.stages.query import query
from hipp_prune.stages.settings import LoadSettings, QuerySettings


def prune(
    model: Model,
    plan: Plan | Path,
    out: Path,
    *,
    run: Path | None = None,
    compensation: CompensationChoice = "auto",
    reconstruct: float = 0.0,
    fitted: Sequence[PrunedMlp] | None = None,
    shape: ModelShape | None = None,
    loading: LoadSettings = LoadSettings(),
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Writes the smaller checkpoint that a plan describes.

    Args:
        model: the one the plan was made for, as in ``calibrate``; one in memory is left as it is.
        plan: the plan, or its file.
        out: checkpoint folder to make.
        run: where the model was calibrated, for plans that are compensated.
        compensation: how neurons that stay answer for those that leave; auto: as the plan was evaluated.
        reconstruct: minutes, ≥ 0, that gate, up and down are fitted by gradient after ``sequential``.
        fitted: what ``fit_together`` has made of the plan, for a checkpoint in files.
        shape: of the model, where it is known already; otherwise it is read from the checkpoint.
        loading: how the model is loaded, where it has to compute.
        force: replaces a checkpoint that is there.
        progress: told (shards done, shards in all), and before that, where blocks are fitted one after the other,
            (blocks done, blocks in all).

    Raises:
        PlanError: if the plan was made for another model.
        InputError: if the plan is compensated and ``run`` is not given, or has no Gram matrices for it, or is to be
            reconstructed without ``sequential``.
        OutputExistsError: if ``out`` is there and ``force`` is false.
        CheckpointError: if the source is damaged or the disk is full.
        RunError: if another process is writing ``out``.
    """
    loaded = Plan.load(plan) if isinstance(plan, Path) else plan
    mode = loaded.compensation if compensation == "auto" else compensation
    check_reconstruction(reconstruct, mode)
    if isinstance(model, Adapter):
        loaded.check_model(model.shape)
        with writing(out):
            check_folder(out, force=force)
            smaller, carried_out = cut(
                model, loaded, compensation=mode, reconstruct=reconstruct, run=run, progress=progress
            )
            save_model(smaller, model.processor, out, {PLAN_FILE: carried_out.to_json()})
            return _report(model, smaller, carried_out, out)
    with writing(out):
        check_output(local_folder(model), out, force=force)
        if fitted is None:
            downs = find_downs(model, loaded, mode, run, reconstruct, loading, progress)
        else:
            downs = _of_fitted(fitted)
        return prune_checkpoint(
            local_folder(model),
            loaded.with_compensation(
                mode, loaded.image_weight, downs.ridge_factor, reconstruct_minutes=reconstruct
            ),
            out,
            down_weights=downs.weights,
            down_biases=downs.biases,
            gate_up_weights=downs.gates_ups,
            shape=shape,
            force=force,
            progress=progress,
        )


def cut(
    adapter: Adapter,
    plan: Plan,
    *,
    compensation: CompensationChoice = "auto",
    reconstruct: float = 0.0,
    run: Path | None = None,
    questions: QuestionsInMemory = (),
    in_place: bool = False,
    progress: Progress | None = None,
) -> tuple[PreTrainedModel, Plan]:
    """What a plan makes of a model in memory, and the plan as it was carried out; see ``cut_neurons``.

    Args:
        adapter: the model that the plan was made for.
        plan: which neurons stay.
        compensation: as for ``prune``.
        reconstruct: as for ``prune``.
        run: as for ``prune``.
        questions: the run's, where it was calibrated on questions in memory.
        in_place: whether the model itself is cut.
        progress: told (blocks done, blocks in all) where they are fitted one after the other.

    Raises:
        PlanError: if the plan was made for another model.
        InputError: as for ``prune``; or if the plan is of row masks, which leave every weight its size.
    """
    plan.check_model(adapter.shape)
    if plan.unit == "rows":
        raise InputError(
            "row plans leave every weight its size, so that no smaller model comes of them; give a coupled plan"
        )
    mode = plan.compensation if compensation == "auto" else compensation
    check_reconstruction(reconstruct, mode)
    downs = find_downs(adapter, plan, mode, run, reconstruct, LoadSettings(), progress, questions)
    smaller = cut_neurons(
        adapter.model,
        plan.keep_masks(),
        down_weights=downs.weights,
        down_biases=downs.biases,
        gates_ups=downs.gates_ups,
        in_place=in_place,
    )
    carried_out = plan.with_compensation(
        mode, plan.image_weight, downs.ridge_factor, reconstruct_minutes=reconstruct
    )
    return smaller, carried_out


def _report(adapter: Adapter, smaller: PreTrainedModel, plan: Plan, out: Path) -> CheckpointReport:
    """What was written of a model in memory."""
    after = num_bytes(smaller)
    return CheckpointReport(
        path=out, unit=plan.unit, widths=plan.kept, bytes_before=num_bytes(adapter.model), bytes_after=after,
        predicted_bytes=after, remote_code=hasattr(smaller.config, "auto_map"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Downs:
    """What a checkpoint's projections hold beside what is cut off; each as ``prune_checkpoint`` takes it."""

    weights: DownWeight | None = None
    biases: list[Tensor] | None = None
    gates_ups: list[tuple[Tensor, Tensor]] | None = None
    ridge_factor: float | None = None


def find_downs(
    model: Model,
    plan: Plan,
    mode: Compensation,
    run: Path | None,
    reconstruct: float,
    loading: LoadSettings,
    progress: Progress | None,
    questions: QuestionsInMemory = (),
) -> Downs:
    """What compensates for the neurons that leave.

    Args:
        model: the one the plan was made for.
        plan: which neurons stay.
        mode: how they answer.
        run: where the model was calibrated, if anything is compensated.
        reconstruct: minutes by gradient after ``sequential``.
        loading: how the model is loaded, where it has to compute.
        progress: told (blocks done, blocks in all) where they are fitted one after the other.
        questions: the run's, where it was calibrated on questions in memory.

    Raises:
        InputError: if that is not at hand.
    """
    if mode == "none":
        return Downs()
    if plan.unit == "rows":
        raise InputError(f"row plans have no {mode} compensation; leave --compensation out")
    if run is None:
        raise InputError(
            f"the plan is carried out with {mode} compensation, which needs what its run measured; give --run RUN with "
            "--plan instead of --model, or --compensation none (the model is then worse than what was evaluated)"
        )
    calibrated = CalibratedRun.open(run, questions)
    if mode in ("bias", "sequential"):
        adapter = load(model, loading)
        plan.check_model(adapter.shape)
        calibration = calibrated.calibration(adapter)
        if mode == "bias":
            return Downs(biases=down_biases(adapter, calibration, plan.keep_masks(), plan.image_weight))
        sample = calibrated.sample(calibration)
        return _of_fitted(
            fit_sequentially(
                adapter, sample, plan.keep_masks(), image_weight=plan.image_weight, minutes=reconstruct,
                progress=progress,
            )
        )  # fmt: skip
    calibrated.check_weights(plan.shape.fingerprint)
    grams = require_grams(calibrated.grams())
    return Downs(weights=fitted_downs(grams, plan.keep_masks(), plan.image_weight), ridge_factor=grams.factor)


def _of_fitted(fitted: Sequence[PrunedMlp]) -> Downs:
    return Downs(weights=made_before([mlp.down for mlp in fitted]), gates_ups=gates_and_ups(fitted))


def fit_together(
    model: str,
    plans: Sequence[Plan],
    run: Path,
    *,
    loading: LoadSettings = LoadSettings(),
    progress: Progress | None = None,
) -> list[list[PrunedMlp]]:
    """What ``sequential`` makes of several plans, in less time than of one after the other.

    Args:
        model: the one the plans were made for, as in ``calibrate``.
        plans: which neurons stay; all of one share of image tokens.
        run: where the model was calibrated.
        loading: how the model is loaded.
        progress: told (blocks done, blocks in all).

    Raises:
        PlanError: if a plan was made for another model.
        UnsupportedModelError: if a block cannot be compensated so.
    """
    (image_weight,) = {plan.image_weight for plan in plans}
    calibrated = CalibratedRun.open(run)
    adapter = load(model, loading)
    for plan in plans:
        plan.check_model(adapter.shape)
    sample = calibrated.sample(calibrated.calibration(adapter))
    masks = [plan.keep_masks() for plan in plans]
    return fit_plans(adapter, sample, masks, image_weight=image_weight, progress=progress)


def prune_searched(
    run: Path,
    preference: Preference,
    out: Path,
    settings: QuerySettings = QuerySettings(),
    *,
    compensation: CompensationChoice = "auto",
    reconstruct: float = 0.0,
    loading: LoadSettings = LoadSettings(),
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Asks a searched run for a preference, and writes the smaller checkpoint of its model.

    Args:
        run: a searched run directory.
        preference: what counts how much.
        out: checkpoint folder to make.
        settings: sparsity, and which widths the plan may have.
        compensation: as for ``prune``.
        reconstruct: as for ``prune``.
        loading: as for ``prune``.
        force: replaces a checkpoint that is there.
        progress: told (shards done, shards in all).

    Raises:
        HippPruneError: see ``query`` and ``prune``.
    """
    model = run_model(run)
    with writing(out):
        check_output(local_folder(model), out, force=force)  # before the run keeps a plan
        return prune(
            model, query(run, preference, settings), out, run=run, compensation=compensation,
            reconstruct=reconstruct, loading=loading, force=force, progress=progress,
        )  # fmt: skip


def run_model(run: Path) -> str:
    """The name or path of the dense model that a run was calibrated on.

    Raises:
        IncompleteRunError: if it is no run directory.
        CheckpointError: if no model is found there.
    """
    return dense_model(RunDirectory(run))


def checkpoint_plan(model: str | Path) -> Plan | None:
    """The plan a checkpoint was pruned by; None for a dense or a sliced model."""
    path = local_folder(model) / PLAN_FILE
    return Plan.load(path) if path.is_file() else None
