"""The dense model, measured: how a run starts."""

from collections.abc import Sequence
from pathlib import Path

from hipp_prune import distributed
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.calibration.measurement import calibrate as measure
from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.stages.loading import load, meet
from hipp_prune.stages.settings import CalibrateSettings, LoadSettings
from hipp_prune.stages.trial import try_model


def calibrate(
    model: str,
    questions: Sequence[str],
    out: Path,
    settings: CalibrateSettings = CalibrateSettings(),
    *,
    loading: LoadSettings = LoadSettings(),
    force: bool = False,
    skip_bad: SkipBad | None = None,
    progress: Progress | None = None,
) -> RunDirectory:
    """Starts a run: measures the dense model on the calibration split (activations, Eq. 5–6, Taylor).

    Before anything is written, the model is tried: see ``try_model``.

    Args:
        model: ``toy-llava``, ``toy-qwen2.5-vl``, a checkpoint folder or a hub name.
        questions: specifications, e.g. ``toyworld`` or ``pope:DIR``.
        out: run directory to make.
        settings: how many questions, how they are drawn and asked.
        loading: how the model is loaded.
        force: replaces an existing run.
        skip_bad: counts bad questions and pictures and leaves them out; None makes them errors.
        progress: told (questions done, questions in all).

    Raises:
        OutputExistsError: if ``out`` is there and ``force`` is false.
        InputError: for bad questions, images or models; see ``errors``.
    """
    run, seed = RunDirectory(out), settings.seed
    if distributed.is_first():
        run.check(force=force)
    adapter = load(model, loading)
    if distributed.is_first():
        try_model(adapter, model)
        run.create(Provenance.now(model=model, questions=tuple(questions), seed=seed), force=force)
    meet(run)
    with distributed.first():
        asked = load_questions(questions, "calibration", cache=run.cache, seed=seed, skip_bad=skip_bad)
    sample = calibration_sample(asked, settings.count, seed=seed)
    calibrate_model(adapter, sample, run.calibration, batch_size=settings.batch_size, progress=progress)
    return run


def calibrate_model(
    adapter: Adapter,
    sample: Sequence[Question],
    out: Path,
    *,
    batch_size: int = CalibrateSettings().batch_size,
    progress: Progress | None = None,
) -> Calibration:
    """Measures a loaded model on a sample, and writes the statistics once.

    Args:
        adapter: the dense model.
        sample: the calibration questions.
        out: file to write.
        batch_size: questions a forward pass.
        progress: told (questions done, questions in all).
    """
    calibration = measure(adapter, sample, batch_size=batch_size, progress=progress)
    if distributed.is_first():
        calibration.save(out)
    distributed.barrier()
    return calibration
