"""A smaller checkpoint by a heuristic instead of a search: what the searched plans are compared with."""

from pathlib import Path

from hipp_prune.baselines.methods import Baseline, load_baseline
from hipp_prune.baselines.planning import check_capable, plan_baseline, write_baseline
from hipp_prune.baselines.setting import Planned, Setting, mlp_fraction
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration.measurement import calibrate as measure
from hipp_prune.checkpoints.folders import check_output
from hipp_prune.checkpoints.pruned import CheckpointReport
from hipp_prune.errors import InputError
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.capabilities import refuse_incapable
from hipp_prune.models.family import CAPABILITIES
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.space import PlanSpace
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.stages.dense_model import dense_model
from hipp_prune.stages.labelling import labelled
from hipp_prune.stages.loading import (
    CalibratedRun,
    Model,
    Questions,
    cache_folder,
    draw_questions,
    load,
    refuse_several,
    source_folder,
    writing,
)
from hipp_prune.stages.settings import LoadSettings


def baseline(
    method: Baseline,
    sparsity: float,
    out: Path,
    settings: BaselineSettings = BaselineSettings(),
    *,
    run: Path | None = None,
    model: Model | None = None,
    questions: Questions = (),
    count: int = 128,
    loading: LoadSettings = LoadSettings(),
    force: bool = False,
    skip_bad: SkipBad | None = None,
    progress: Progress | None = None,
) -> tuple[Planned, CheckpointReport]:
    """Plans with a named method and writes the checkpoint; the plan, or the ledger of what is none, lies inside it.

    Args:
        method: one of ``baselines.methods.BASELINES``.
        sparsity: fraction to remove, of the MLP parameters or of what ``settings.match`` names.
        out: checkpoint folder to make.
        settings: what the methods may be told.
        run: a calibrated run, whose model and calibration sample are used: so all methods share one.
        model: without a run, the model.
        questions: without a run, the sources that ``count`` calibration questions are drawn from.
        count: see ``questions``.
        loading: how the model is loaded.
        force: replaces a checkpoint that is there.
        skip_bad: as in ``calibrate``.
        progress: told (questions done, questions in all) while the model is calibrated, and (blocks done, blocks in
            all) while they are fitted one after the other.

    Returns:
        What was planned, and what was written.

    Raises:
        BudgetError: if the method cannot remove so much.
        OutputExistsError: if ``out`` is there and ``force`` is false.
        QuestionError: if there is no calibration question.
        InputError: if neither a run nor a model with questions is given, or both are.
        RunError: if the run's calibration sample cannot be drawn again, or another process is writing ``out``.
    """
    if run is not None and (model is not None or questions):
        raise InputError(
            "a run has a model and questions of its own; give either --run, or --model and --questions"
        )
    calibrated = None if run is None else CalibratedRun.open(run)
    model = model if calibrated is None else dense_model(calibrated.directory)
    if model is None or not (calibrated or questions):
        raise InputError("a baseline needs --run RUN, or --model MODEL and --questions SPEC to calibrate on")
    with writing(out), cache_folder(None) as cache:
        seed, asked = settings.seed, list[Question]()
        if not isinstance(model, Adapter):
            _refuse(method, local_folder(model, weights=False), out, settings, loading, force=force)
        if calibrated is None:
            asked = draw_questions(questions, "calibration", cache=cache, seed=seed, skip_bad=skip_bad)
            refuse_several(model, asked, loading)
        with source_folder(model) as source:
            _refuse(method, source, out, settings, loading, force=force)
            adapter = load(model, loading)
            check_capable(method, adapter, settings)
            if load_baseline(method).only_neurons(settings):
                fraction = mlp_fraction(adapter.shape, sparsity, settings)
                PlanSpace(shape=adapter.shape, r_max=settings.r_max).check_budget(fraction)
            if calibrated is not None:
                calibration = calibrated.calibration(adapter)
                sample = calibrated.sample(calibration, skip_bad=skip_bad)
            else:
                refuse_several(adapter, asked)
                sample = calibration_sample(labelled(adapter, asked), count, seed=seed)
                calibration = measure(adapter, sample, batch_size=settings.batch_size, progress=progress)
            setting = Setting(
                adapter=adapter,
                calibration=calibration,
                questions=sample,
                sparsity=sparsity,
                grams=None if calibrated is None else calibrated.grams(),
                settings=settings,
            )
            return prune_by(method, setting, source, out, force=force, progress=progress)


def _refuse(
    method: Baseline,
    source: Path,
    out: Path,
    settings: BaselineSettings,
    loading: LoadSettings,
    *,
    force: bool,
) -> None:
    """Refuses what the small files of a checkpoint tell, before a question or a weight is read.

    Args:
        method: as for ``baseline``.
        source: the checkpoint's folder.
        out: as for ``baseline``.
        settings: as for ``baseline``.
        loading: as for ``baseline``.
        force: as for ``baseline``.
    """
    check_output(source, out, force=force)
    refuse_method(method, source, settings, loading)


def refuse_method(
    method: Baseline, model: str | Path, settings: BaselineSettings, loading: LoadSettings
) -> None:
    """Refuses a method that the family of a model declares it cannot do; only ``config.json`` is read.

    Args:
        method: as for ``baseline``.
        model: a checkpoint folder or a name.
        settings: as for ``baseline``.
        loading: as for ``baseline``.

    Raises:
        UnsupportedModelError: with the family's reason.
    """
    if method in CAPABILITIES and not load_baseline(method).only_neurons(settings):
        refuse_incapable(model, method, trust_remote_code=loading.trust_remote_code)


def prune_by(
    method: Baseline,
    setting: Setting,
    source: Path,
    out: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> tuple[Planned, CheckpointReport]:
    """Has a named method plan, and writes the checkpoint; ``baseline`` for a loaded and calibrated model.

    Args:
        method: one of ``baselines.methods.BASELINES``.
        setting: the model, its statistics, the sparsity, and what the method may be told.
        source: the model's checkpoint folder.
        out: checkpoint folder to make.
        force: replaces a checkpoint that is there.
        progress: told (blocks done, blocks in all) where they are fitted one after the other.

    Raises:
        BudgetError: if the method cannot remove so much.
        OutputExistsError: if ``out`` is there and ``force`` is false.
    """
    planned = plan_baseline(method, setting)
    return planned, write_baseline(setting, planned, source, out, force=force, progress=progress)
