"""A smaller checkpoint by a heuristic instead of a search: what the searched plans are compared with."""

from collections.abc import Sequence
from pathlib import Path

from hipp_prune.baselines.methods import Planned, only_neurons, plan_baseline, write_baseline
from hipp_prune.baselines.setting import Setting, mlp_fraction
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration import Calibration
from hipp_prune.calibration import calibrate as measure
from hipp_prune.checkpoints.folders import check_output
from hipp_prune.checkpoints.pruned import CheckpointReport
from hipp_prune.errors import InputError, RunError
from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.choices import Baseline
from hipp_prune.plans.space import PlanSpace
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.stages.loading import DEFAULT_LOADING, LoadSettings, cache_folder


def baseline(
    method: Baseline,
    sparsity: float,
    out: Path,
    *,
    run: Path | None = None,
    model: str | None = None,
    questions: Sequence[str] = (),
    count: int = 128,
    config: BaselineSettings | None = None,
    options: LoadSettings = DEFAULT_LOADING,
    force: bool = False,
    skip_bad: SkipBad | None = None,
    progress: Progress | None = None,
) -> tuple[Planned, CheckpointReport]:
    """Plans with a named method and writes the checkpoint; the plan, or the ledger of what is none, lies inside it.

    Args:
        method: one of ``choices.Baseline``.
        sparsity: fraction to remove, of the MLP parameters or of what ``config.match`` names.
        out: checkpoint folder to make.
        run: a calibrated run, whose model and calibration sample are used: so all methods share one.
        model: without a run, the model.
        questions: without a run, the specifications that ``count`` calibration questions are drawn from.
        count: see ``questions``.
        config: what the methods may be told; our defaults if nothing is.
        options: how the model is loaded.
        force: replaces a checkpoint that is there.
        skip_bad: as in ``calibrate``.
        progress: told (questions done, questions in all) while the model is calibrated.

    Returns:
        What was planned, and what was written.

    Raises:
        BudgetError: if the method cannot remove so much.
        OutputExistsError: if ``out`` is there and ``force`` is false.
        QuestionError: if there is no calibration question.
        InputError: if neither a run nor a model with questions is given, or both are.
        RunError: if the run's calibration sample cannot be drawn again.
    """
    config = config or BaselineSettings()
    directory = None if run is None else RunDirectory(run)
    if directory is not None:
        if model is not None or questions:
            raise InputError(
                "a run has a model and questions of its own; give either --run, or --model and --questions"
            )
        provenance = directory.provenance()
        model, questions, sample_seed = provenance.model, provenance.questions, provenance.seed
        directory.require(directory.calibration, made_by=f"hipp-prune calibrate … --out {run} --force")
    elif model is None or not questions:
        raise InputError("a baseline needs --run RUN, or --model MODEL and --questions SPEC to calibrate on")
    else:
        sample_seed = config.seed
    source = local_folder(model)
    check_output(source, out, force=force)
    adapter = options.load(model)
    if only_neurons(method, config):
        fraction = mlp_fraction(adapter.shape, sparsity, config)
        PlanSpace(shape=adapter.shape, r_max=config.r_max).check_budget(fraction)
    with cache_folder(None if directory is None else directory.cache) as cache:
        asked = load_questions(questions, "calibration", cache=cache, seed=sample_seed, skip_bad=skip_bad)
        if directory is None:
            sample = calibration_sample(asked, count, seed=sample_seed)
            calibration = measure(adapter, sample, batch_size=config.batch_size, progress=progress)
        else:
            calibration = Calibration.load(directory.calibration)
            sample = _sample_again(asked, calibration, directory, seed=sample_seed)
        setting = Setting(
            adapter=adapter,
            calibration=calibration,
            questions=sample,
            sparsity=sparsity,
            config=config,
        )
        planned = plan_baseline(method, setting)
        report = write_baseline(method, setting, planned, source, out, force=force)
    return planned, report


def _sample_again(
    asked: Sequence[Question], calibration: Calibration, directory: RunDirectory, *, seed: int
) -> list[Question]:
    """The questions of a run's calibration: the draw of their number, or of more where a benchmark ran out."""
    number = calibration.num_questions
    for count in range(number, 2 * number + 1):
        sample = calibration_sample(asked, count, seed=seed)
        if len(sample) == number:
            return sample
    raise RunError(
        f"the {number} calibration questions of {directory.root} cannot be drawn again from its {len(asked)} "
        "questions; they have changed, so calibrate again"
    )
