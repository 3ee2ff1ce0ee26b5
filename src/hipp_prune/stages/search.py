"""The policy, trained: a search of a calibrated model, and all it leaves."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from hipp_prune import distributed
from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.errors import IncompleteRunError, InputError
from hipp_prune.files.changes import refuse_changes
from hipp_prune.files.manifest import listing_folder, note_growing, remove_own, start_growing
from hipp_prune.files.progress import Progress
from hipp_prune.files.reading import read_text
from hipp_prune.files.replacing import clean
from hipp_prune.files.run_directory import SearchFolder
from hipp_prune.files.writing import write_json
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.costs import CostTable
from hipp_prune.questions.fingerprint import Origin, fingerprint_questions
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.survey import Survey, survey
from hipp_prune.search.archive import Archive, shared_archive
from hipp_prune.search.loop import SearchResult
from hipp_prune.search.loop import search as run_search
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.model_space import parse_latency, plan_space
from hipp_prune.search.phases import WARM_UP
from hipp_prune.search.query.forecast import fit_forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.record import SearchRecord, Spent, read_record
from hipp_prune.search.searchers import require_method
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.dense_model import dense_model
from hipp_prune.stages.loading import CalibratedRun, QuestionsInMemory, load, meet, writing
from hipp_prune.stages.settings import AskSettings, LoadSettings

_log = logging.getLogger("hipp_prune")


def search(
    run: Path,
    settings: SearchSettings | None = None,
    *,
    model: Adapter | None = None,
    questions: QuestionsInMemory = (),
    asking: AskSettings = AskSettings(),
    loading: LoadSettings = LoadSettings(),
    force: bool = False,
    skip_bad: SkipBad | None = None,
    surveyed: Callable[[Survey], None] | None = None,
    encoding: Progress | None = None,
    progress: Progress | None = None,
) -> Planner:
    """Trains the policy of a run on its search split; interrupted, it goes on from its last evaluation.

    Args:
        run: a calibrated run directory.
        settings: of the search; the run's seed and our defaults if none are given.
        model: the run's model, where it is in memory; the one that the run names by default.
        questions: the run's, where it was calibrated on questions in memory.
        asking: how fast questions are asked, and in how much memory.
        loading: how the model is loaded.
        force: throws away what an earlier search with other settings evaluated.
        skip_bad: as in ``calibrate``.
        surveyed: told what the questions can tell, before any is asked.
        encoding: told (pictures encoded, pictures in all), before the first evaluation.
        progress: told (evaluations done, evaluations in all).

    Raises:
        IncompleteRunError: if the run has not been calibrated.
        RunError: if an earlier search had other settings and ``force`` is false, or the run was calibrated on
            questions that are other ones now.
        BudgetError: if no plan saves ``settings.s_max`` in ``settings.compression``.
        InputError: if the method needs a package that is not installed.
    """
    if settings is not None:
        require_method(settings.method)
    calibrated = CalibratedRun.open(run, questions)
    directory, folder = calibrated.directory, calibrated.directory.search
    settings = settings or SearchSettings(seed=calibrated.provenance.seed)
    has_grams = directory.grams.exists()
    settings = replace(settings, compensation=settings.mode(has_grams=has_grams))
    with writing(run):
        meet(directory)
        if not force:
            read_search(folder, settings, remedy="add --force to start over", may_grow=True)
        asked = calibrated.questions("search", skip_bad=skip_bad)
        if surveyed is not None:
            surveyed(survey({"search": asked}))
        adapter = load(model or dense_model(directory), loading)
        calibration = calibrated.calibration(adapter)
        if force or not folder.archive.exists():  # one that goes on compares its own
            calibrated.sample(calibration, skip_bad=skip_bad)  # refuses what has changed since calibration
        return search_model(
            adapter,
            calibration,
            asked,
            folder,
            settings,
            asking=asking,
            features=directory.cache / "features",
            grams=calibrated.grams() if settings.compensation == "ridge" else None,
            factors=directory.factors,
            force=force,
            encoding=encoding,
            progress=progress,
        )


def measure_latency(
    run: Path, *, asking: AskSettings = AskSettings(), loading: LoadSettings = LoadSettings()
) -> CostTable:
    """Seconds of the language model by block width, measured on this machine unless the run knows them already.

    Args:
        run: a calibrated run directory.
        asking: how many questions a forward pass has.
        loading: how the model is loaded.

    Raises:
        IncompleteRunError: if the run has not been calibrated, or its file is damaged.
    """
    calibrated = CalibratedRun.open(run)
    path = calibrated.directory.search.latency
    if not path.exists():
        with writing(run):
            adapter = load(dense_model(calibrated.directory), loading)
            nothing_saved = SearchSettings(compression="latency", s_min=0.0, s_max=0.0)
            plan_space(
                adapter,
                calibrated.calibration(adapter),
                nothing_saved,
                latency=path,
                batch_size=asking.batch_size,
            )
    return parse_latency(read_text(path, remedy="search again", error=IncompleteRunError), path)


def search_model(
    adapter: Adapter,
    calibration: Calibration,
    questions: Sequence[Question],
    folder: SearchFolder,
    settings: SearchSettings,
    *,
    asking: AskSettings = AskSettings(),
    features: Path | None = None,
    grams: Grams | None = None,
    factors: Path | None = None,
    force: bool = False,
    encoding: Progress | None = None,
    progress: Progress | None = None,
) -> Planner:
    """Searches a loaded model and leaves archive, curve, planner, forecast and record in a folder.

    The record comes last: once it says that the search is complete, all the rest is there. The logger ``hipp_prune`` is
    told why not all evaluations were spent, where they were not.

    Args:
        adapter: the dense model; its neurons are sorted while the search lasts.
        calibration: its statistics.
        questions: the search split.
        folder: what an earlier search of the same settings left, or nothing.
        settings: of the search.
        asking: how fast questions are asked, and in how much memory.
        features: folder for encoded pictures that memory does not hold.
        grams: the model's Gram matrices; with them, plans are compensated by default.
        factors: folder for what is made of these that memory does not hold.
        force: throws away what is in ``folder``.
        encoding: told (pictures encoded, pictures in all), before the first evaluation.
        progress: told (evaluations done, evaluations in all).

    Raises:
        BudgetError: if no plan saves ``settings.s_max`` in ``settings.compression``.
    """
    start = time.perf_counter()
    problem = open_problem(
        adapter,
        calibration,
        questions,
        folder,
        settings,
        asking=asking,
        features=features,
        grams=grams,
        factors=factors,
        force=force,
        encoding=encoding,
    )
    settings = problem.settings
    origin = Origin(weights=adapter.shape.fingerprint, questions=fingerprint_questions(questions))
    if distributed.is_first():
        _claim(folder, settings, origin, force=force)
    distributed.agree(
        "the order of neurons",
        b"".join([problem.state.tobytes(), *map(np.ndarray.tobytes, problem.sorted.rankings)]),
    )
    try:
        result = run_search(problem, settings, shared_archive(folder.archive), progress=progress)
    finally:
        problem.sorted.restore()
    planner = _planner(problem, result, origin)
    record = _record(planner, result, origin, seconds=time.perf_counter() - start)
    if distributed.is_first():
        note_growing(folder.archive)
        planner.save(folder.planner)
        write_json(folder.curve, [asdict(step) for step in result.curve])
        with suppress(InputError):  # too few evaluations to forecast from are no failed search
            fit_forecast(list(Archive(folder.archive)), planner.space).save(folder.forecast)
        write_json(folder.record, asdict(record))
        if record.unspent is not None:
            _log.info(record.unspent)
    distributed.barrier()
    return planner


def open_problem(
    adapter: Adapter,
    calibration: Calibration,
    questions: Sequence[Question],
    folder: SearchFolder,
    settings: SearchSettings,
    *,
    asking: AskSettings = AskSettings(),
    features: Path | None = None,
    grams: Grams | None = None,
    factors: Path | None = None,
    force: bool = False,
    encoding: Progress | None = None,
) -> ModelProblem:
    """What a search of a loaded model searches.

    Args:
        adapter: as for ``search_model``, like all that follows.
        calibration: statistics of the dense model.
        questions: the search split.
        folder: what an earlier search left; measured latencies are kept there.
        settings: of the search.
        asking: how fast questions are asked, and in how much memory.
        features: folder for encoded pictures that memory does not hold.
        grams: the model's Gram matrices; with them, plans are compensated by default.
        factors: folder for what is made of these that memory does not hold.
        force: throws away what is in ``folder``.
        encoding: told (pictures encoded, pictures in all).
    """
    space = plan_space(
        adapter, calibration, settings, latency=folder.latency, batch_size=asking.batch_size, force=force
    )
    return ModelProblem(
        adapter,
        calibration,
        questions,
        settings,
        space=space,
        batch_size=asking.batch_size,
        features=features,
        image_memory=asking.image_bytes,
        grams=grams,
        factors=factors,
        progress=encoding,
    )


def read_search(
    folder: SearchFolder, settings: SearchSettings, *, remedy: str, may_grow: bool = False
) -> Spent | None:
    """The seconds and evaluations of a search that is complete; None where it is still to be done.

    Args:
        folder: where a search was begun, or nothing is.
        settings: those it is to have.
        remedy: what else than repeating its settings helps; see ``refuse_changes``.
        may_grow: whether more evaluations may be asked for than it was begun with; fewer never are.

    Raises:
        RunError: if it was begun with other settings.
    """
    if not folder.record.exists():
        return None
    record = read_record(folder.record)
    before, now = (
        asdict(each) | {"compensation": each.mode(has_grams=False)} for each in (record.settings, settings)
    )
    if may_grow and record.settings.most_evaluations < settings.most_evaluations:
        before["evaluations"] = now["evaluations"]
    refuse_changes(folder.root, before, now, remedy=remedy)
    return record.spent


def evaluations_paid(folder: SearchFolder, settings: SearchSettings) -> float:
    """Evaluations of a whole minibatch that an earlier start has paid for and that a search meets again.

    These are all where the search only goes on, and of one that grows those of random plans: what is proposed follows
    from how many of these there are.

    Args:
        folder: where the search was begun, or nothing is.
        settings: the same, but perhaps of more evaluations.

    Raises:
        IncompleteRunError: if what is there is damaged.
    """
    if not folder.record.exists():
        return 0.0
    grows = read_record(folder.record).settings.most_evaluations < settings.most_evaluations
    found = (each for each in Archive(folder.archive) if not grows or each.source == WARM_UP)
    return sum(each.questions for each in found) / settings.minibatch


def _claim(folder: SearchFolder, settings: SearchSettings, origin: Origin, *, force: bool) -> None:
    """Goes on with what is there, or starts anew.

    Raises:
        RunError: if it was begun with other weights or questions, or what it paid for is gone.
    """
    clean(folder.root)
    listed = listing_folder(folder.record)
    if force and listed is not None:
        remove_own(listed, folder.root.absolute().relative_to(listed).as_posix())
    elif folder.record.exists():
        before = read_record(folder.record)
        if before.origin is not None:
            before.origin.check(origin, path=folder.root, remedy="add --force to start over")
        if before.complete and not folder.archive.exists():
            raise IncompleteRunError(
                f"{folder.archive} is gone, with all that the search paid for; bring it back from a copy, or add "
                "--force to start over"
            )
    start_growing(folder.archive)
    write_json(folder.record, asdict(SearchRecord(settings=settings, complete=False, origin=origin)))


def _planner(problem: ModelProblem, result: SearchResult, origin: Origin) -> Planner:
    """What a finished search has learnt."""
    return Planner(
        answers=result.answers,
        space=problem.space,
        settings=problem.settings,
        state=problem.state,
        features=problem.states.names,
        orders=tuple(problem.sorted.rankings),
        scale=result.scale,
        questions=origin.questions,
    )


def _record(planner: Planner, result: SearchResult, origin: Origin, *, seconds: float) -> SearchRecord:
    return SearchRecord(
        settings=planner.settings,
        shape=planner.space.shape,
        features=planner.features,
        scale=planner.scale,
        spent=Spent(seconds=round(seconds, 3), evaluations=result.spent),
        unspent=result.unspent,
        origin=origin,
        complete=True,
    )
