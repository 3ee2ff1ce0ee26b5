"""Worker processes that do one job at a time, each as soon as what it needs is done; whatever is finished is kept."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from traceback import format_exc
from typing import Any, Generic, TypeVar

import torch

from hipp_prune.errors import HippPruneError, RunError
from hipp_prune.experiments.settings import CrewSettings
from hipp_prune.files.progress import Say

JobT = TypeVar("JobT", bound=Hashable)
ResultT = TypeVar("ResultT")

Do = Callable[[JobT], ResultT]
"""Does a job, with what it keeps from one job to the next."""


@dataclass(frozen=True)
class Failure:
    """Why a job came to nothing."""

    reason: str


def run_jobs(
    jobs: Sequence[JobT],
    start: Callable[[], Do[JobT, ResultT]],
    finish: Callable[[JobT, ResultT], None],
    *,
    needs: Callable[[JobT], Iterable[JobT]] = lambda job: (),  # noqa: ARG005
    crew: CrewSettings = CrewSettings(),
    say: Say,
) -> dict[JobT, str]:
    """Does jobs in worker processes of one torch thread each, in order, and returns why some failed, if they did.

    Args:
        jobs: what to do.
        start: called once in every worker, which it reaches by pickling; makes what does the jobs there.
        finish: called here with every result.
        needs: which other jobs have to be over before a job begins, whether they failed or not.
        crew: how many processes, and the time after which jobs under way are given up.
        say: told when a job fails, and when the time is over.

    Raises:
        RunError: if a worker dies.
    """
    end = None if crew.minutes is None else time.monotonic() + 60 * crew.minutes
    failed: dict[JobT, str] = {}
    queue = _Queue(waiting=list(jobs), needs=needs)
    with _crew(min(crew.workers, len(jobs)), start) as workers:
        queue.hand_out(workers)
        while busy := {worker.pipe: worker for worker in workers if worker.job is not None}:
            left = None if end is None else end - time.monotonic()
            ready = wait(list(busy), timeout=None if left is None else max(0.0, left))
            if not ready or (left is not None and left <= 0):
                say("the time is over; started again, it goes on from here")
                break
            for pipe in ready:
                job, outcome = busy[pipe].outcome()  # type: ignore[index]
                queue.over.add(job)
                if isinstance(outcome, Failure):
                    failed[job] = outcome.reason
                    say(f"{job} failed: {outcome.reason}")
                else:
                    finish(job, outcome)
            queue.hand_out(workers)
    return failed


@dataclass(kw_only=True)
class _Queue(Generic[JobT]):
    """Jobs that no worker has been given yet."""

    waiting: list[JobT]
    needs: Callable[[JobT], Iterable[JobT]]
    over: set[JobT] = field(default_factory=set)
    """Jobs done, or failed."""

    def __post_init__(self) -> None:
        self._all = set(self.waiting)

    def hand_out(self, crew: Sequence["_Worker"]) -> None:
        """Gives every idle worker the first job whose needs are over, while there is one."""
        for worker in crew:
            if worker.job is None:
                worker.do(self._next())

    def _next(self) -> JobT | None:
        for index, job in enumerate(self.waiting):
            if self.over.issuperset(self._all.intersection(self.needs(job))):
                return self.waiting.pop(index)
        return None


@dataclass(kw_only=True)
class _Worker:
    """A process that does one job at a time."""

    process: BaseProcess
    pipe: "Connection[Any, Any]"
    job: Any = None
    """What it is doing."""

    def do(self, job: Any) -> None:
        """Hands it a job; whether the process still lives is found out by ``outcome``."""
        self.job = job
        if job is not None:
            with suppress(BrokenPipeError):
                self.pipe.send(job)

    def outcome(self) -> tuple[Any, Any]:
        """What came of the job, and leaves the worker idle.

        Raises:
            RunError: if the process died.
        """
        job, self.job = self.job, None
        try:
            return job, self.pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise RunError(
                f"the worker at {job} died (killed, or too little memory?); what is finished is kept, start the same "
                "command again to go on, with fewer --workers if need be"
            ) from error


@contextmanager
def _crew(workers: int, start: Callable[[], Do[Any, Any]]) -> Iterator[list[_Worker]]:
    """Starts worker processes, and ends them whatever happens."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = get_context("spawn")
    crew: list[_Worker] = []
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, start), daemon=True)
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


def _work(pipe: "Connection[Any, Any]", start: Callable[[], Do[Any, Any]]) -> None:
    """Does jobs until the crew is dismissed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    do = start()
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(do(job))
        except Exception as error:  # noqa: BLE001 one job's failure must not end the others
            pipe.send(Failure(str(error) if isinstance(error, HippPruneError) else format_exc()))


def _end_with_parent() -> None:
    """Ends this process when its parent is killed, rather than when the job under way is done."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@dataclass(kw_only=True)
class Clock(Generic[JobT]):
    """How long jobs took, and how long the others will take."""

    jobs: Sequence[JobT]
    workers: int
    kinds: Callable[[JobT], Sequence[Hashable]]
    """Ever wider classes of jobs that cost alike, the narrowest first."""
    size: Callable[[JobT], float] = lambda job: 1.0  # noqa: ARG005
    """What a job's time is proportional to within its class."""
    seconds: dict[JobT, float] = field(default_factory=dict)

    def took(self, job: JobT, seconds: float) -> None:
        """A job is done."""
        self.seconds[job] = seconds

    def left(self) -> float:
        """Seconds: what jobs of the same class cost so far, or else of a wider one."""
        spent: dict[Hashable, float] = defaultdict(float)
        sizes: dict[Hashable, float] = defaultdict(float)
        for job, seconds in self.seconds.items():
            for kind in self.kinds(job):
                spent[kind] += seconds
                sizes[kind] += self.size(job)
        total = 0.0
        for job in self.jobs:
            if job not in self.seconds:
                kind = next((kind for kind in self.kinds(job) if kind in sizes), None)
                total += 0.0 if kind is None else self.size(job) * spent[kind] / sizes[kind]
        return total / self.workers

    def line(self, job: JobT, words: str) -> str:
        """One line about a job that has just been done."""
        left = self.left() / 60
        remaining = f"{left / 60:.1f} h" if left >= 90 else f"{left:.0f} min"
        return f"[{len(self.seconds)}/{len(self.jobs)}] {job}: {words}; about {remaining} left"
