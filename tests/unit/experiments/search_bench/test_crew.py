"""Worker processes, what they do first, and how long the rest will take."""

from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any

import pytest

from hipp_prune.errors import RunError
from hipp_prune.experiments import crew
from hipp_prune.experiments.crew import Clock, run_jobs
from hipp_prune.experiments.settings import CrewSettings


@dataclass
class Divider:
    """Divides 12 by a job, and remembers its jobs."""

    told: str
    jobs: list[int] = field(default_factory=list)

    def __call__(self, job: int) -> str:
        self.jobs.append(job)
        return f"{self.told} {12 // job} after {self.jobs[:-1]}"


def test_a_worker_keeps_what_it_has_from_one_job_to_the_next_and_outlives_a_failure() -> None:
    lines: list[str] = []
    results: dict[int, str] = {}
    failed = run_jobs(
        [3, 0, 4],
        partial(Divider, "it is"),
        results.__setitem__,
        crew=CrewSettings(workers=1),
        say=lines.append,
    )
    assert results == {3: "it is 4 after []", 4: "it is 3 after [3, 0]"}
    assert list(failed) == [0]
    assert "ZeroDivisionError" in failed[0]
    assert len(lines) == 1
    assert lines[0].startswith("0 failed:")


def test_no_job_is_handed_out_before_what_it_needs_is_over() -> None:
    workers = [
        SimpleNamespace(job=None, do=lambda job, own=index: given.append((own, job))) for index in (0, 1)
    ]
    given: list[tuple[int, str | None]] = []
    needs = {"cell": ["search"], "search": ["calibration"], "other": []}
    queue = crew._Queue(waiting=["search", "cell", "other"], needs=lambda job: needs[job])
    queue.hand_out(workers)  # type: ignore[arg-type]
    assert given == [(0, "search"), (1, "other")]
    queue.over.add("other")
    assert queue._next() is None
    queue.over.add("search")
    assert queue._next() == "cell"


def test_a_dead_worker_is_one_sentence_with_its_job() -> None:
    ours, theirs = Pipe()
    theirs.close()
    process: Any = SimpleNamespace()
    worker = crew._Worker(process=process, pipe=ours, job="wanda seed 0")
    with pytest.raises(RunError, match=r"the worker at wanda seed 0 died .* start the same command again"):
        worker.outcome()


def test_the_time_left_follows_what_jobs_of_the_same_kind_cost_so_far() -> None:
    jobs = [("random", 100), ("grpo", 100), ("random", 200), ("grpo", 200)]
    clock = Clock(jobs=jobs, workers=2, kinds=lambda job: (job[0], ""), size=lambda job: job[1])
    assert clock.left() == 0
    clock.took(jobs[0], 50.0)
    assert clock.left() == pytest.approx((100 + 200 + 200) * 0.5 / 2)
    clock.took(jobs[1], 10.0)
    assert clock.left() == pytest.approx((200 * 0.5 + 200 * 0.1) / 2)
    assert clock.line(jobs[1], "10 s").startswith("[2/4] ('grpo', 100): 10 s; about 1 min left")
