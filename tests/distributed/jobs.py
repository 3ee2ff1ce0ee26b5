"""What workers run in these tests, and how they are started: as torchrun would, but forked from a warm process."""

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # what the first Adam of a process imports: here once for all
from safetensors.torch import save_file

from hipp_prune import api, distributed
from hipp_prune.calibration.general_text import GeneralText
from hipp_prune.calibration.grams import GramLayout, gather_grams
from hipp_prune.calibration.measurement import calibrate
from hipp_prune.errors import InputError
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.files.writing import write_json
from hipp_prune.models import load_model
from hipp_prune.objectives.returns import PlanScores
from hipp_prune.plans.arrays import Ints
from hipp_prune.questions.fingerprint import Origin
from hipp_prune.questions.question import Question
from hipp_prune.search.archive import shared_archive
from hipp_prune.search.loop import search
from hipp_prune.search.settings import SearchSettings

os.environ["OMP_NUM_THREADS"] = "1"  # as torchrun sets it: sums are then rounded alike everywhere
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.distributed.jobs"])


@dataclass(frozen=True)
class Workers:
    """Processes under way and the folder of their output."""

    processes: list[ForkServerProcess]
    folder: Path

    def wait(self, seconds: float = 60) -> list[int | None]:
        """Exit codes; None for a process that has not ended in time (and is killed)."""
        deadline = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        codes = [process.exitcode for process in self.processes]
        for process in self.processes:
            process.kill()
        return codes

    def said(self, rank: int) -> str:
        """Standard error of a worker."""
        return (self.folder / f"{rank}.err").read_text()


def start(folder: Path, count: int, job: Callable[..., Any], *arguments: Any) -> Workers:
    """Starts ``count`` workers on ``job``; their output goes to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    processes = [
        _FORKS.Process(target=_enter, args=(rank, count, port, folder, job, arguments))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    return Workers(processes, folder)


def run(folder: Path, count: int, job: Callable[..., Any], *arguments: Any) -> None:
    """Runs ``job`` with so many workers, which must all succeed."""
    workers = start(folder, count, job, *arguments)
    codes = workers.wait()
    assert codes == [0] * count, "".join(workers.said(rank) for rank in range(count))


def _enter(
    rank: int, count: int, port: int, folder: Path, job: Callable[..., Any], arguments: Sequence[Any]
) -> None:
    local = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count,
        "MASTER_PORT": port,
    }
    os.environ.update({name: str(value) for name, value in local.items()}, MASTER_ADDR="127.0.0.1")
    for stream, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(folder / f"{rank}.{stream}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    torch.set_num_threads(1)
    sys.exit(job(*arguments))


def exchange(folder: Path) -> None:
    """Says what every kind of exchange brought this worker."""
    with distributed.workers():
        rank = distributed.rank()
        mine = torch.tensor([[rank, -rank]], dtype=torch.float64)
        total, ones = distributed.all_reduce([mine, torch.ones(3, dtype=torch.float64)])
        (largest,) = distributed.all_reduce([mine], largest=True)
        brought = {
            "gathered": distributed.gather(
                {"rank": rank, "exact": (0.1 + 0.2) * 3**rank, "text": "ä" * (rank + 1)}
            ),
            "once": distributed.once(lambda: [rank, None, float("-inf")]),
            "share": list(distributed.share(range(7))),
            "total": total.tolist(),
            "ones": ones.tolist(),
            "largest": largest.tolist(),
        }
        (folder / f"{rank}.json").write_text(json.dumps(brought))


def disagree() -> None:
    """Holds other bytes at every worker."""
    with distributed.workers():
        distributed.agree("what it was told", b"%d" % distributed.rank())


def fail(culprit: int) -> None:
    """One worker finds an error while the others wait for it."""
    with distributed.workers():
        if distributed.rank() == culprit:
            raise InputError("the picture of question 7 is no picture")
        distributed.barrier()


class SlowLandscape(Landscape):
    """Leaves time to kill somebody."""

    def evaluate(self, kept: Ints, minibatch: str, size: int) -> PlanScores:
        time.sleep(0.02)
        return super().evaluate(kept, minibatch, size)


def search_landscape(folder: Path, *configs: SearchSettings, slow: bool = False) -> None:
    """Searches by each method, with its archive in a folder of that name; every worker writes what it learnt."""
    with distributed.workers():
        for config in configs:
            problem = SlowLandscape() if slow else Landscape()
            result = search(problem, config, shared_archive(folder / config.method / "archive.jsonl"))
            save_file(
                result.answers.tensors(), folder / config.method / f"answers-{distributed.rank()}.safetensors"
            )


search_slowly = partial(search_landscape, slow=True)


GENERAL = GeneralText(windows=tuple(f"The table number {index} is red." for index in range(9)), share=0.3)


def calibrate_model(model: Path, questions: Sequence[Question], out: Path) -> None:
    """Calibrates; every worker writes what it knows at the end."""
    with distributed.workers():
        adapter, rank = load_model(model), distributed.rank()
        layout = GramLayout(widths=tuple(adapter.shape.neurons))
        with gather_grams(out / "grams.safetensors", layout, Origin(weights="w", questions="q")) as grams:
            calibration = calibrate(
                adapter, questions, batch_size=2, taylor_questions=2, grams=grams, general=GENERAL
            )
            sums = {str(block): grams.gram(block) for block in range(len(adapter.blocks))}
        calibration.save(out / f"{rank}.safetensors")
        save_file(sums, out / f"grams-{rank}.safetensors")


def search_own_copy(run: Path, folder: Path) -> None:
    """Searches a run directory that is another one at every worker, as on machines without a shared file system."""
    with distributed.workers():
        own = folder / str(distributed.rank())
        shutil.copytree(run, own)
        manifest = json.loads((own / "run.json").read_text())
        write_json(own / "run.json", {**manifest, "created": str(distributed.rank())})
        api.search(own)


def timeless(archive: Path) -> list[dict[str, Any]]:
    """Evaluations without the seconds they took."""
    entries = [json.loads(line) for line in archive.read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]
