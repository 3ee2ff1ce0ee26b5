"""Runs the searches of a benchmark in worker processes; killed and started again, it goes on cell by cell."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hipp_prune.errors import IncompleteRunError, OutputExistsError, RunError
from hipp_prune.experiments.crew import Clock, run_jobs
from hipp_prune.experiments.search_bench.arenas import Arena, ArenaSpec, Reference, measure_reference
from hipp_prune.experiments.search_bench.trials import SearchTrial, TrialResult, finished, run_trial
from hipp_prune.experiments.settings import CrewSettings, HeldOut
from hipp_prune.files.changes import refuse_changes
from hipp_prune.files.manifest import start_list
from hipp_prune.files.progress import Say
from hipp_prune.files.ranges import Count, Share
from hipp_prune.files.reading import read_document
from hipp_prune.files.replacing import clean, is_fresh
from hipp_prune.files.writing import write_json
from hipp_prune.search.settings import SearchSettings

_OTHERWISE = "choose another --out"


def reference_path(root: Path, instance: str) -> Path:
    """Where the reference of an arena is kept."""
    return root / "references" / f"{instance}.json"


def claim(root: Path, specs: Mapping[str, ArenaSpec], base: SearchSettings) -> None:
    """Makes a benchmark's folder, or goes on in one whose problems are judged in the same way.

    Raises:
        OutputExistsError: if the folder is something else.
        RunError: if it holds the same problems, judged otherwise.
    """
    path = root / "bench.json"
    before: dict[str, _JudgedBy] = {}
    if path.exists():
        before = read_document(path, dict[str, _JudgedBy], remedy=_OTHERWISE, error=IncompleteRunError)
    elif root.exists() and (not root.is_dir() or not is_fresh(root)):
        raise OutputExistsError(
            f"{root} is there but has no bench.json, so it is no search benchmark and is left alone; choose another"
        )
    now = {name: _judged_by(spec, root, base) for name, spec in specs.items()}
    told, asked = _as_json({**now, **before}), _as_json({**before, **now})
    refuse_changes(root, told, asked, remedy=_OTHERWISE)
    start_list(root)
    clean(root)
    write_json(path, asked)


@dataclass(frozen=True, kw_only=True)
class _JudgedBy:
    """What ``bench.json`` says of a problem."""

    s_min: Share
    s_max: Share
    run: str | None = None
    """Path of its run directory, below the benchmark's folder where it is in there; None for the landscape."""
    split: HeldOut | None = None
    """Whose questions judge."""
    limit: Count | None = None
    """How many of them a benchmark."""


def _as_json(problems: Mapping[str, _JudgedBy]) -> dict[str, Any]:
    return {name: asdict(judged) for name, judged in problems.items()}


def _judged_by(spec: ArenaSpec, root: Path, base: SearchSettings) -> _JudgedBy:
    if spec.run is None:
        return _JudgedBy(s_min=base.s_min, s_max=base.s_max)
    run = spec.run.resolve()
    if run.is_relative_to(root.resolve()):
        run = run.relative_to(root.resolve())
    return _JudgedBy(s_min=base.s_min, s_max=base.s_max, run=str(run), split=spec.split, limit=spec.limit)


def run_trials(
    root: Path,
    cells: Sequence[SearchTrial],
    specs: Mapping[str, ArenaSpec],
    base: SearchSettings,
    *,
    crew: CrewSettings = CrewSettings(),
    say: Say,
) -> dict[SearchTrial, str]:
    """Searches every cell that has no result yet, in this order, and returns why some failed, if they did.

    Args:
        root: the benchmark's folder.
        cells: what to search.
        specs: how to open each problem.
        base: settings that every method starts from.
        crew: who works, and the time after which searches under way are given up; they are done anew the next time.
        say: told a line a cell.

    Raises:
        RunError: if a stored cell has other settings, or a worker dies; finished cells are kept.
    """
    by_cell = [specs[cell.problem].adapt(cell.settings(base)) for cell in cells]
    done = finished(cells, root, by_cell)
    waiting = [cell for cell in cells if cell not in done]
    if done and waiting:
        say(f"{len(done)} of {len(cells)} searches are finished already")
    clock = Clock(jobs=cells, workers=crew.workers, kinds=_kinds, size=lambda cell: cell.budget)
    for cell, result in done.items():
        clock.took(cell, result.seconds + result.judging)

    def finish(cell: SearchTrial, result: TrialResult) -> None:
        result.save(root)
        clock.took(cell, result.seconds + result.judging)
        judging = f"judging {len(result.plans)} plans {result.judging:.1f} s"
        say(clock.line(cell, f"{result.seconds:.1f} s, {judging}"))

    start = partial(_Searcher, root, dict(specs), base)
    return run_jobs(waiting, start, finish, crew=crew, say=say)


def _kinds(cell: SearchTrial) -> tuple[tuple[str, ...], ...]:
    """Ever wider classes of cells that cost alike."""
    return (cell.problem, cell.method), (cell.problem,), ()


@dataclass
class _Searcher:
    """What a worker keeps: one arena of each problem."""

    root: Path
    specs: Mapping[str, ArenaSpec]
    base: SearchSettings
    arenas: dict[str, Arena] = field(default_factory=dict)

    def __call__(self, cell: SearchTrial) -> TrialResult:
        """Runs one trial in the arena of its problem."""
        spec = self.specs[cell.problem]
        instance = spec.instance(cell.seed)
        if instance not in self.arenas:
            self.arenas[instance] = _prepared(spec, cell.seed, self.root, self.base)
        return run_trial(cell, self.arenas[instance], spec.adapt(cell.settings(self.base)), name=instance)


def _prepared(spec: ArenaSpec, seed: int, root: Path, base: SearchSettings) -> Arena:
    """Opens an arena; the first to do so also measures its reference.

    Raises:
        RunError: if the reference is of another model: what is stored cannot be compared with it.
    """
    arena = spec.open(seed)
    path = reference_path(root, spec.instance(seed))
    if not path.exists():
        measure_reference(arena, base).save(path)
    elif (stored := Reference.load(path).fingerprint) != arena.fingerprint:
        raise RunError(
            f"{path} is of a model with fingerprint {stored}, {spec.name} now has {arena.fingerprint}; choose another "
            "--out"
        )
    return arena


def read_results(root: Path) -> tuple[list[TrialResult], dict[str, Reference]]:
    """Every finished cell of a benchmark's folder, and the references by arena."""
    results = [TrialResult.load(path) for path in sorted((root / "cells").glob("*/*.json"))]
    references = {path.stem: Reference.load(path) for path in sorted((root / "references").glob("*.json"))}
    return results, references
