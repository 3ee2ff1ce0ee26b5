"""Evaluations a second of a search by one worker and by several, each on a core of its own, measured in turns.

    python benchmarks/distributed.py

A search evaluates random plans on one minibatch of the embedded world. Timed is the whole loop on the wall, what the
workers tell each other included; not the start of Python, the encoding of pictures and the first plan. One worker and
several take turns, and beside the ratio of medians stands what other programs took of the processors meanwhile: a busy
machine has no second core to give.
"""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tyro

from hipp_prune import api, distributed
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models import load_model
from hipp_prune.questions.sources import load_questions
from hipp_prune.search.archive import Archive
from hipp_prune.search.loop import search
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.settings import SearchSettings


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured."""

    model: str = "toy-llava"
    """Embedded model, checkpoint folder or hub name."""
    device: str = "cpu"
    """cpu or cuda."""
    workers: int = 2
    """Workers of the run that is compared with one worker."""
    evaluations: int = 128
    """Plans a search evaluates."""
    minibatch: int = 256
    """Questions an evaluation."""
    rounds: int = 3
    """Times that each is measured."""
    calibrated: Path | None = None
    """Given to the workers by the script itself: their calibrated run directory."""


def main(settings: Settings) -> None:
    """Measures in turns and prints the ratio."""
    rates: dict[int, list[float]] = {1: [], settings.workers: []}
    costs: dict[int, list[float]] = {1: [], settings.workers: []}
    with TemporaryDirectory() as folder:
        run = api.calibrate(
            settings.model, ["toyworld"], Path(folder) / "run", api.CalibrateSettings(count=8)
        ).root
        for _ in range(settings.rounds):
            for workers, measured in rates.items():
                rate, cost, others = _launch(workers, run)
                measured.append(rate)
                costs[workers].append(cost)
                _say(
                    f"{workers} worker(s): {rate:.2f} evaluations/s, {1000 * cost:.0f} ms of processor time each, "
                    f"other programs {others:.2f} cores"
                )
    alone, together = (statistics.median(measured) for measured in rates.values())
    cost_alone, cost_together = (statistics.median(measured) for measured in costs.values())
    _say(
        f"{settings.workers} workers: {together / alone:.2f} times one worker's evaluations a second; "
        f"{settings.workers * cost_alone / cost_together:.2f} times by processor time, waiting for each other aside"
    )


def work(settings: Settings, run: Path) -> None:
    """One worker's part; the first one prints what ``_launch`` reads."""
    with distributed.workers():
        config = SearchSettings(
            method="random",
            evaluations=settings.evaluations,
            minibatch=settings.minibatch,
            warm_up=0,
            proposals=0,
        )
        directory = RunDirectory(run)
        problem = ModelProblem(
            load_model(settings.model, device=settings.device),
            Calibration.load(directory.calibration),
            load_questions(["toyworld"], "search", cache=directory.cache),
            config,
        )
        problem.evaluate(np.array(problem.space.widths, dtype=np.int64), "random", settings.minibatch)
        distributed.barrier()
        start, busy, own = time.perf_counter(), _busy_seconds(), time.process_time()
        search(problem, config, Archive())
        distributed.barrier()
        seconds = time.perf_counter() - start
        own = sum(distributed.gather(time.process_time() - own))
        others = max(0.0, _busy_seconds() - busy - own) / seconds
        if distributed.is_first():
            _say(f"{settings.evaluations / seconds} {own / settings.evaluations} {others}")


def _launch(workers: int, run: Path) -> tuple[float, float, float]:
    """What the first worker printed: evaluations a second, processor seconds of one, cores of other programs."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    flags = [*sys.argv[1:], "--calibrated", str(run)]
    finished = subprocess.run(
        [*torchrun, __file__, *flags], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    rate, cost, others = map(float, finished.stdout.split())
    return rate, cost, others


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _busy_seconds() -> float:
    """Seconds that all cores have worked since the machine started (0 where the system does not say)."""
    stat = Path("/proc/stat")
    ticks = stat.read_text().split("\n", 1)[0].split()[1:4] if stat.exists() else []
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    settings = tyro.cli(Settings, description=__doc__)
    if settings.calibrated is None:
        main(settings)
    else:
        work(settings, settings.calibrated)
