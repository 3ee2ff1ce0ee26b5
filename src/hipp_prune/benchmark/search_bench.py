"""Runs the searches of a benchmark in worker processes; killed and started again, it goes on cell by cell."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from traceback import format_exc
from typing import Any, get_args

import torch

from hipp_prune.benchmark.arenas import LANDSCAPE, Arena, ArenaSpec, Reference, arena_specs, measure_reference
from hipp_prune.benchmark.cells import Cell, CellResult, finished, run_cell, schedule
from hipp_prune.choices import Method
from hipp_prune.errors import HippPruneError, InputError, OutputExistsError, RunError
from hipp_prune.models import TOYS
from hipp_prune.questions.splits import Split
from hipp_prune.run import read_json, write_json
from hipp_prune.search.config import SearchConfig

Say = Callable[[str], None]
"""Told a line at a time how far the benchmark is."""


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What is compared, and who judges."""

    problems: tuple[str, ...] = (*TOYS, LANDSCAPE)
    """Calibrated run directories, models to calibrate on ``questions``, or ``landscape``."""
    methods: tuple[Method, ...] = get_args(Method)
    budgets: tuple[int, ...] = (100, 250, 500, 1000, 2000)
    """Evaluations a search; above 1,000 only for methods that learn a policy."""
    seeds: int = 5
    """Searches of each kind, seeds 0, 1, …"""
    questions: tuple[str, ...] = ("toyworld",)
    """Specifications, for models that have not been calibrated."""
    split: Split = "validation"
    """Whose questions judge the answers."""
    limit: int = 300
    """How many of them a benchmark."""
    s_min: float = SearchConfig().s_min
    """Smallest sparsity searched."""
    s_max: float = SearchConfig().s_max
    """Largest sparsity searched."""

    def __post_init__(self) -> None:
        if min(self.budgets, default=0) < 1 or self.seeds < 1 or self.limit < 1:
            raise InputError(
                f"a search benchmark needs budgets, seeds and a limit ≥ 1, got budgets {self.budgets}, "
                f"{self.seeds} seeds and limit {self.limit}"
            )

    def specs(self, out: Path, **load: Any) -> dict[str, ArenaSpec]:
        """How to open each problem, by name; ``load`` says how models are loaded.

        Raises:
            InputError: if two problems have one name.
        """
        return arena_specs(out, self.problems, split=self.split, limit=self.limit, **load)

    @property
    def base(self) -> SearchConfig:
        """What every method starts from."""
        return SearchConfig(s_min=self.s_min, s_max=self.s_max)

    def cells(self, problems: Iterable[str]) -> list[Cell]:
        """All searches of the problems with these names, in their order."""
        return schedule(tuple(problems), self.methods, self.budgets, self.seeds)


FULL = BenchSettings()
"""Hours on two cores."""
QUICK = BenchSettings(budgets=(100, 250), seeds=2, limit=100)
"""Minutes on two cores."""


def reference_path(root: Path, instance: str) -> Path:
    """Where the reference of an arena is kept."""
    return root / "references" / f"{instance}.json"


def claim(root: Path, specs: Mapping[str, ArenaSpec], base: SearchConfig) -> None:
    """Makes a benchmark's folder, or goes on in one whose problems are judged in the same way.

    Raises:
        OutputExistsError: if the folder is something else.
        RunError: if it holds the same problems, judged otherwise.
    """
    path = root / "bench.json"
    before: dict[str, Any] = {}
    if path.exists():
        before = read_json(path, made_by="hipp-prune bench-search")
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise OutputExistsError(
            f"{root} is there but has no bench.json, so it is no search benchmark and is left alone; choose another"
        )
    now = {name: _judged_by(spec, root, base) for name, spec in specs.items()}
    changed = [name for name in now if before.get(name, now[name]) != now[name]]
    if changed:
        differences = "; ".join(f"{name} {before[name]} → {now[name]}" for name in changed)
        raise RunError(
            f"{root} holds a benchmark that judges otherwise ({differences}); repeat its settings or choose another "
            "--out"
        )
    write_json(path, {**before, **now})


def _judged_by(spec: ArenaSpec, root: Path, base: SearchConfig) -> dict[str, Any]:
    sparsity = {"s_min": base.s_min, "s_max": base.s_max}
    if spec.run is None:
        return sparsity
    run = spec.run.resolve()
    if run.is_relative_to(root.resolve()):
        run = run.relative_to(root.resolve())
    return {"run": str(run), "split": spec.split, "limit": spec.limit, **sparsity}


def run_cells(
    root: Path,
    cells: Sequence[Cell],
    specs: Mapping[str, ArenaSpec],
    base: SearchConfig,
    *,
    workers: int = 2,
    minutes: float | None = None,
    say: Say,
) -> dict[Cell, str]:
    """Searches every cell that has no result yet, in this order, and returns why some failed, if they did.

    Args:
        root: the benchmark's folder.
        cells: what to search.
        specs: how to open each problem.
        base: settings that every method starts from.
        workers: processes, one torch thread each.
        minutes: time after which searches under way are given up; they are done anew the next time.
        say: told a line a cell.

    Raises:
        RunError: if a stored cell has other settings, or a worker dies; finished cells are kept.
    """
    start = time.monotonic()
    configs = [specs[cell.problem].adapt(cell.config(base)) for cell in cells]
    done = finished(cells, root, configs)
    waiting = [cell for cell in cells if cell not in done]
    if done and waiting:
        say(f"{len(done)} of {len(cells)} searches are finished already")
    failed: dict[Cell, str] = {}
    clock = _Clock(cells=tuple(cells), workers=workers)
    for cell, result in done.items():
        clock.took(cell, result.seconds + result.judging)
    with _crew(min(workers, len(waiting)), root, specs, base) as crew:
        queue = iter(waiting)
        for worker in crew:
            worker.search(next(queue, None))
        while busy := {worker.pipe: worker for worker in crew if worker.cell}:
            left = None if minutes is None else 60 * minutes - (time.monotonic() - start)
            ready = wait(list(busy), timeout=None if left is None else max(0.0, left))
            if not ready or (left is not None and left <= 0):
                say("the time is over; started again, the benchmark goes on")
                break
            for pipe in ready:
                worker = busy[pipe]  # type: ignore[index]
                cell, outcome = worker.outcome()
                if isinstance(outcome, CellResult):
                    outcome.save(root)
                    clock.took(cell, outcome.seconds + outcome.judging)
                    say(clock.line(outcome))
                else:
                    failed[cell] = outcome
                    say(f"{cell} failed: {outcome}")
                worker.search(next(queue, None))
    return failed


@dataclass(kw_only=True)
class _Clock:
    """How long the cells took, and how long the others will take."""

    cells: tuple[Cell, ...]
    workers: int
    seconds: dict[Cell, float] = field(default_factory=dict)

    def took(self, cell: Cell, seconds: float) -> None:
        self.seconds[cell] = seconds

    def left(self) -> float:
        """Seconds: what an evaluation cost this method on this problem so far, or any method, or any problem."""
        spent: dict[tuple[str, ...], float] = defaultdict(float)
        evaluations: dict[tuple[str, ...], int] = defaultdict(int)
        for cell, seconds in self.seconds.items():
            for key in _kinds(cell):
                spent[key] += seconds
                evaluations[key] += cell.budget
        total = 0.0
        for cell in self.cells:
            if cell not in self.seconds:
                key = next((key for key in _kinds(cell) if key in evaluations), ())
                total += cell.budget * spent[key] / max(1, evaluations[key])
        return total / self.workers

    def line(self, result: CellResult) -> str:
        """One line about a cell that has just been finished."""
        number, left = len(self.seconds), self.left() / 60
        remaining = f"{left / 60:.1f} h" if left >= 90 else f"{left:.0f} min"
        return (
            f"[{number}/{len(self.cells)}] {result.cell}: {result.seconds:.1f} s, judging {len(result.plans)} plans "
            f"{result.judging:.1f} s; about {remaining} left"
        )


def _kinds(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """Ever wider classes of cells that cost alike."""
    return (cell.problem, cell.method), (cell.problem,), ()


@dataclass(kw_only=True)
class _Worker:
    """A process that searches one cell at a time."""

    process: BaseProcess
    pipe: "Connection[Cell | None, CellResult | str]"
    cell: Cell | None = None
    """What it is searching."""

    def search(self, cell: Cell | None) -> None:
        """Hands it a cell; whether the process still lives is found out by ``outcome``."""
        self.cell = cell
        if cell is not None:
            with suppress(BrokenPipeError):
                self.pipe.send(cell)

    def outcome(self) -> tuple[Cell, CellResult | str]:
        """What came of the cell, or why nothing did.

        Raises:
            RunError: if the process died.
        """
        assert self.cell is not None, "nothing to wait for"
        try:
            return self.cell, self.pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise RunError(
                f"the worker searching {self.cell} died (killed, or too little memory?); finished searches are kept, "
                "start the benchmark again to go on, with fewer --workers if need be"
            ) from error


@contextmanager
def _crew(
    workers: int, root: Path, specs: Mapping[str, ArenaSpec], base: SearchConfig
) -> Iterator[list[_Worker]]:
    """Starts worker processes, and ends them whatever happens."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = get_context("spawn")
    crew: list[_Worker] = []
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, root, dict(specs), base), daemon=True)
            process.start()
            theirs.close()
            crew.append(_Worker(process=process, pipe=ours))
        yield crew
    finally:
        for worker in crew:
            worker.pipe.close()
            worker.process.terminate()
        for worker in crew:
            worker.process.join()


def _work(
    pipe: "Connection[CellResult | str, Cell | None]",
    root: Path,
    specs: Mapping[str, ArenaSpec],
    base: SearchConfig,
) -> None:
    """Searches cells until the benchmark hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    arenas: dict[str, Arena] = {}
    while True:
        try:
            cell = pipe.recv()
        except EOFError:
            return
        assert cell is not None
        try:
            spec = specs[cell.problem]
            instance = spec.instance(cell.seed)
            if instance not in arenas:
                arenas[instance] = _prepared(spec, cell.seed, root, base)
            config = spec.adapt(cell.config(base))
            pipe.send(run_cell(cell, arenas[instance], config, name=instance))
        except Exception as error:  # noqa: BLE001 one search's failure must not end the others
            pipe.send(str(error) if isinstance(error, HippPruneError) else format_exc())


def _end_with_parent() -> None:
    """Ends this process when the benchmark is killed, rather than when the search under way is done."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _prepared(spec: ArenaSpec, seed: int, root: Path, base: SearchConfig) -> Arena:
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


def read_results(root: Path) -> tuple[list[CellResult], dict[str, Reference]]:
    """Every finished cell of a benchmark's folder, and the references by arena."""
    results = [CellResult.load(path) for path in sorted((root / "cells").glob("*/*.json"))]
    references = {path.stem: Reference.load(path) for path in sorted((root / "references").glob("*.json"))}
    return results, references
