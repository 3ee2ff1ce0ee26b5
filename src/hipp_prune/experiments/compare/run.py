"""Runs the cells of a comparison in worker processes; killed and started again, it goes on cell by cell."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hipp_prune.baselines.methods import BASELINES
from hipp_prune.errors import IncompleteRunError, InputError, OutputExistsError
from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import CalibrationJob, Cell, Job, SearchJob, all_jobs, needs
from hipp_prune.experiments.compare.settings import DEFAULT_SETTINGS, CompareSettings
from hipp_prune.experiments.compare.worker import OTHERWISE, Done, Worker, finished_search
from hipp_prune.experiments.crew import Clock, run_jobs
from hipp_prune.experiments.settings import CrewSettings
from hipp_prune.files.changes import refuse_changes
from hipp_prune.files.manifest import start_list
from hipp_prune.files.progress import Say
from hipp_prune.files.ranges import Natural
from hipp_prune.files.reading import read_document
from hipp_prune.files.replacing import clean, is_fresh, taken_back
from hipp_prune.files.strict import check_value
from hipp_prune.files.writing import write_json
from hipp_prune.questions.benchmark import ROLES
from hipp_prune.questions.benchmarks import role_of
from hipp_prune.questions.question import Question
from hipp_prune.questions.survey import survey
from hipp_prune.search.query.roles import check_preference
from hipp_prune.stages.baseline import refuse_method
from hipp_prune.stages.settings import LoadSettings


def run_cells(
    root: Path,
    cells: Sequence[Cell],
    settings: CompareSettings = DEFAULT_SETTINGS,
    *,
    crew: CrewSettings = CrewSettings(),
    keep: bool = False,
    loading: LoadSettings = LoadSettings(),
    say: Say,
) -> dict[Job, str]:
    """Does every cell that has no result yet, in this order, and returns why some failed, if they did.

    Args:
        root: folder to make, or to go on in.
        cells: what to do; the calibrations and searches they need are done once for all.
        settings: what they share.
        crew: who works, and the time after which cells under way are given up; searches and recoveries go on from
            there next time.
        keep: whether checkpoints stay in ``checkpoints/`` of the folder.
        loading: how models are loaded.
        say: told a line a job.

    Raises:
        OutputExistsError: if the folder is something else.
        RunError: if it holds cells of other settings, or a worker dies; finished cells are kept.
        InputError: for bad questions, models or settings, or where a model's family cannot do a method; see ``errors``.
    """
    start = partial(Worker, root, settings, loading, keep)
    _check_names(cells)
    _check_budgets(cells, settings)
    _check_families(cells, settings, loading)
    with taken_back(root, "compare.json", "questions.json"):
        claim(root, settings)
        judging = start().judging
        for warning in survey({settings.split: judging}).warnings:
            say(f"warning: {warning}")
        _check_preferences(cells, judging)
        _claim_questions(root, judging)
    jobs = all_jobs(cells)
    done = seconds_spent(root, cells, settings)
    waiting = [job for job in all_jobs(cell for cell in cells if cell not in done) if job not in done]
    if done and waiting:
        say(f"{len(done)} of {len(jobs)} calibrations, searches and cells are finished already")
    clock = Clock(jobs=jobs, workers=crew.workers, kinds=_kinds, seconds=done)

    def finish(job: Job, result: Done) -> None:
        clock.took(job, result.seconds)
        say(clock.line(job, f"{result.seconds:.1f} s, {result.words}"))

    return run_jobs(waiting, start, finish, needs=needs, crew=crew, say=say)


def seconds_spent(
    root: Path, cells: Sequence[Cell], settings: CompareSettings = DEFAULT_SETTINGS
) -> dict[Job, float]:
    """Seconds of a worker that every finished job took: the cells, and the calibrations and searches they need.

    Raises:
        RunError: if one was done with other settings.
    """
    times = {job: _finished(job, root, settings) for job in all_jobs(cells)}
    return {job: seconds for job, seconds in times.items() if seconds is not None}


def claim(root: Path, settings: CompareSettings) -> None:
    """Makes a comparison's folder, or goes on in one of the same settings.

    Raises:
        OutputExistsError: if the folder is something else.
        RunError: if it holds a comparison with other settings.
    """
    path = root / "compare.json"
    now = _flat(settings)
    if path.exists():
        refuse_changes(path, _flat(read_settings(root)), now, remedy=OTHERWISE)
    elif root.exists() and (not root.is_dir() or not is_fresh(root)):
        raise OutputExistsError(
            f"{root} is there but has no compare.json, so it is no comparison and is left alone; choose another"
        )
    start_list(root)
    clean(root)
    write_json(path, now)


def read_settings(root: Path) -> CompareSettings:
    """What the cells of a comparison's folder share; settings that it does not name are the default ones.

    Raises:
        IncompleteRunError: if it is none.
    """
    path, remedy = root / "compare.json", "give the folder that `hipp-prune compare --out OUT` wrote"
    stored = read_document(path, dict[str, Any], remedy=remedy, error=IncompleteRunError)
    content = _nested({**_flat(DEFAULT_SETTINGS), **stored})
    return check_value(content, CompareSettings, where=str(path), remedy=remedy, error=IncompleteRunError)


_RECOVERY = "recovery."
"""What the settings of recovery begin with in ``compare.json``."""


def _flat(settings: CompareSettings) -> dict[str, Any]:
    """The settings as JSON has them; how often a recovery saves its state changes no result."""
    content = asdict(settings)
    recovery = content.pop("recovery")
    content |= {f"{_RECOVERY}{name}": value for name, value in recovery.items() if name != "save_every"}
    return {**content, "questions": list(settings.questions)}


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """What ``_flat`` flattened, as ``CompareSettings`` declares it."""
    recovery = {name: flat[name] for name in flat if name.startswith(_RECOVERY)}
    nested = {name.removeprefix(_RECOVERY): value for name, value in recovery.items()}
    return {**{name: flat[name] for name in flat.keys() - recovery.keys()}, "recovery": nested}


@dataclass(frozen=True, kw_only=True)
class _Judging:
    """What ``questions.json`` says of the questions that judge."""

    number: Natural
    digest: str
    """Of all that they say."""


def _claim_questions(root: Path, questions: Sequence[Question]) -> None:
    """Refuses to go on where the files of the questions have changed."""
    lines = "\n".join(f"{each.id} {each.prompt} {each.answers} {each.gold}" for each in questions)
    now = _Judging(number=len(questions), digest=hashlib.sha256(lines.encode()).hexdigest()[:16])
    path = root / "questions.json"
    if path.exists():
        before = read_document(path, _Judging, remedy=OTHERWISE, error=IncompleteRunError)
        refuse_changes(path, asdict(before), asdict(now), remedy=OTHERWISE)
    else:
        write_json(path, asdict(now))


def _check_names(cells: Sequence[Cell]) -> None:
    names: dict[str, str] = {}
    for cell in cells:
        name = Path(cell.model).name
        if names.setdefault(name, cell.model) != cell.model:
            raise InputError(f"two models are called {name}: {names[name]} and {cell.model}; rename a folder")


def _check_preferences(cells: Sequence[Cell], questions: Sequence[Question]) -> None:
    """Refuses to ask a search for a role that no question serves."""
    served = {role_of(question) for question in questions}
    for cell in cells:
        if cell.search is not None and cell.preference is not None:
            check_preference(cell.preference, [role for role in ROLES if role in served])


def _check_budgets(cells: Sequence[Cell], settings: CompareSettings) -> None:
    """Refuses to ask a search for what it has not learnt, where the model need not be known for it."""
    for cell in cells:
        if cell.budget is not None and cell.contender.searches and settings.match == "mlp":
            searched = settings.search_settings(cell.contender, cell.seed)
            if not searched.s_min <= cell.budget <= searched.s_max:
                raise InputError(
                    f"{cell.contender.label} searches sparsities in [{searched.s_min:g}, {searched.s_max:g}], which "
                    f"the budget {cell.budget:g} is not in; change --s-min or --s-max"
                )


def _check_families(cells: Sequence[Cell], settings: CompareSettings, loading: LoadSettings) -> None:
    """Refuses a method that the family of a model declares it cannot do, before anything is measured."""
    methods = {(cell.model, cell.contender) for cell in cells if cell.contender.method in BASELINES}
    for model, contender in sorted(methods, key=str):
        refuse_method(contender.method, model, settings.baseline_settings(contender, 0), loading)


def _finished(job: Job, root: Path, settings: CompareSettings) -> float | None:
    """Seconds that a job took; None where it is still to be done.

    Raises:
        RunError: if it was done with other settings.
    """
    if isinstance(job, CalibrationJob):
        paths = [job.path(root), *([job.grams_path(root)] if job.grams else [])]
        return 0.0 if all(path.exists() for path in paths) else None
    if isinstance(job, SearchJob):
        spent = finished_search(job, root, settings)
        return None if spent is None else spent.seconds
    path = job.path(root)
    if not path.exists():
        return None
    result = CellResult.load(path)
    usual = settings.told(replace(job.contender, overrides={}), job.seed)
    told = settings.told(job.contender, job.seed)
    refuse_changes(path, {**usual, **result.settings}, told, remedy=OTHERWISE)
    return sum(result.seconds.values())


def _kinds(job: Job) -> tuple[tuple[str, ...], ...]:
    """Ever wider classes of jobs that cost alike."""
    kind = type(job).__name__
    if isinstance(job, CalibrationJob):
        return ((kind, job.model),)
    return (kind, job.model, job.contender.label), (kind, job.model), (kind,)
