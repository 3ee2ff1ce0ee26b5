"""What an outlook says of each stage beside what the stage then takes: seconds and memory.

    python benchmarks/outlook.py                          (all of `auto` on both embedded models, seven minutes)
    python benchmarks/outlook.py --shape qwen2.5-vl-3b    (a real shape with random weights, 16 GB of memory)
    python benchmarks/outlook.py --configurations         (`auto --dry-run` of public models without their weights)

The outlook and the work are processes of their own. On a processor both are in processor seconds of one thread, so that
other work on the machine hardly counts, and wall time stands beside them; on a GPU wall time is compared. A real shape
is asked few questions and goes stage by stage, since `auto` always calibrates on 128.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
import tyro
from peak import Peak, run_measured
from public import PUBLIC
from shapes import SHAPES, ShapeName, build

from hipp_prune import api
from hipp_prune.files.progress import Progress
from hipp_prune.models.loading import TOYS
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.sources import load_questions
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.ahead import look_ahead
from hipp_prune.stages.auto import auto
from hipp_prune.stages.outlook import Outlook, outlook
from hipp_prune.stages.settings import (
    AutoSettings,
    CalibrateSettings,
    EvaluateSettings,
    LoadSettings,
    QuerySettings,
)
from hipp_prune.stages.wish import Wish
from hipp_prune.stages.work import Work

_SPARSITY = 0.3
_PICTURES = 10
"""That a real shape is asked about."""
_REST = ("check", "report")
"""Rows that no bar of `auto` has: what is left of it is theirs together."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the script may be told."""

    shape: ShapeName | None = None
    """A model with random weights instead of both embedded ones."""
    configurations: bool = False
    """Print what `auto --dry-run` says of public models of which there is a configuration alone."""
    recover: bool = True
    """Recover too, with the embedded models."""
    evaluations: int | None = None
    """Of the search; `auto`'s own, or 1 of a real shape."""
    device: str = "best"
    computed: bool = False
    """Predict from the configuration alone."""
    seed: int = 0
    folder: Path | None = None
    """Where a real shape lies, and stays; a temporary folder by default."""
    step: tuple[str, ...] = ()
    """Internal: what a process of its own does, to which model, in which folder."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a stage took."""

    wall: float
    processor: float
    cpu_bytes: int
    gpu_bytes: int


class Clock:
    """Clocks stages while ``with`` blocks last.

    Args:
        weights: folder of the model, whose mapped files count as memory.
    """

    def __init__(self, weights: Path | None) -> None:
        self.taken: dict[str, Taken] = {}
        self._weights = weights
        self._watchers: list[Peak] = []

    def _processor(self) -> float:
        """Processor seconds of the work: watching takes some of every second on the wall, however little is done."""
        return time.process_time() - sum(watcher.processor for watcher in self._watchers)

    @contextmanager
    def stage(self, name: str, *, mapped: bool = True) -> Iterator[None]:
        """One stage; weights that are mapped count as its memory but where they are only looked through."""
        wall, processor, gpu = time.perf_counter(), self._processor(), torch.cuda.is_available()
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        with Peak(os.getpid(), self._weights if mapped else None) as peak:
            self._watchers.append(peak)
            yield
        self.taken[name] = Taken(
            wall=time.perf_counter() - wall,
            processor=self._processor() - processor,
            cpu_bytes=peak.most,
            gpu_bytes=torch.cuda.max_memory_allocated() if gpu else 0,
        )

    @contextmanager
    def bars(self, *descriptions: str) -> Iterator[Sequence[Progress | None]]:
        """``auto``'s bars, none of which is drawn."""
        name = descriptions[-1]
        if name.startswith("evaluate") and name != "evaluate dense":
            name = "evaluate pruned"
        with self.stage(name.removeprefix("measure ")):
            yield [None] * len(descriptions)


def wish_of(model: str, root: Path, settings: Settings) -> Wish:
    """All of `auto`, as it is told and foretold."""
    usual = AutoSettings(recover=settings.recover, seed=settings.seed)
    evaluations = settings.evaluations or usual.evaluations
    return Wish(
        model=model,
        questions=("toyworld",),
        out=root / "smaller",
        run=root / "run",
        target=QuerySettings(sparsity=_SPARSITY),
        settings=AutoSettings(recover=settings.recover, seed=settings.seed, evaluations=evaluations),
        loading=LoadSettings(device=settings.device),
    )


def work_of(settings: Settings) -> Work:
    """A few questions of a real shape."""
    return Work(
        calibrate=CalibrateSettings(count=4, batch_size=4, seed=settings.seed),
        search=SearchSettings(evaluations=settings.evaluations or 1, seed=settings.seed, minibatch=8),
        sparsity=_SPARSITY,
        evaluate=EvaluateSettings(limit=12, batch_size=12, seed=settings.seed),
    )


def foretell(model: str, root: Path, settings: Settings) -> Outlook:
    """The outlook, in the seconds that the work is compared in."""
    clock = (
        nullcontext() if torch.cuda.is_available() else patch.object(time, "perf_counter", time.process_time)
    )
    with clock:
        if settings.shape is None:
            return look_ahead(wish_of(model, root, settings))
        loading = LoadSettings(device=settings.device)
        return outlook(
            model, (str(root / "questions.jsonl"),), work_of(settings), loading=loading, out=root,
            measure=not settings.computed,
        )  # fmt: skip


def do(model: str, root: Path, settings: Settings) -> dict[str, Taken]:
    """The work."""
    if settings.shape is not None:
        return _do_stages(model, root, settings)
    clock = Clock(None)
    with clock.stage("all"):
        auto(wish_of(model, root, settings), bars=clock.bars)
    whole = clock.taken.pop("all")
    rest = Taken(
        wall=whole.wall - sum(each.wall for each in clock.taken.values()),
        processor=whole.processor - sum(each.processor for each in clock.taken.values()),
        cpu_bytes=0,
        gpu_bytes=0,
    )
    return {**clock.taken, " and ".join(_REST): rest, "together": whole}


def _do_stages(model: str, root: Path, settings: Settings) -> dict[str, Taken]:
    """Stage by stage."""
    work, clock, sources = work_of(settings), Clock(Path(model)), (str(root / "questions.jsonl"),)
    loading = LoadSettings(device=settings.device)
    with clock.stage("calibrate"):
        run = api.calibrate(model, sources, root / "run", work.calibrate, loading=loading, force=True)
    with clock.stage("search"):
        planner = api.search(run.root, work.search, loading=loading)
    plan = planner.query(Preference.parse("1,0,1"), sparsity=_SPARSITY)
    with clock.stage("prune", mapped=False):
        api.prune(model, plan, root / "smaller", force=True)
    with clock.stage("evaluate"):
        api.evaluate(model, sources, work.evaluate, loading=loading)
    return clock.taken


def write_questions(path: Path, seed: int) -> None:
    """A table of a few of the embedded world's questions, pictures beside it."""
    asked = load_questions(("toyworld",), "search", cache=path.parent / "world", seed=seed)
    about: dict[Any, list[str]] = {}
    for question in asked:
        if question.is_yes_no and len(question.images) == 1:
            row = {"image": str(question.images[0]), "question": question.prompt, "answer": question.answer}
            about.setdefault(question.images, []).append(json.dumps(row))
    rows = [row for rows in list(about.values())[:_PICTURES] for row in rows]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def compare(model: str, root: Path, settings: Settings) -> None:
    """Prints a row a stage: foretold, taken, and their ratio."""
    found = json.loads(_own(settings, "foretell", model, root))
    taken = {name: Taken(**each) for name, each in json.loads(_own(settings, "do", model, root)).items()}
    prices = {price["stage"]: price for price in found["prices"]}
    rest = [prices.pop(name) for name in _REST if name in prices]
    if rest:
        prices[" and ".join(_REST)] = {
            "seconds": sum(each["seconds"] for each in rest), "cpu_bytes": 0, "gpu_bytes": 0
        }  # fmt: skip
        every = prices.values()
        prices["together"] = {
            "seconds": sum(each["seconds"] for each in every),
            "cpu_bytes": max(each["cpu_bytes"] for each in every),
            "gpu_bytes": max(each["gpu_bytes"] for each in every),
        }
    _say(
        f"\n{found['model']} on {found['device']}, {found['how']}; {'; '.join(found['refused']) or 'nothing refused'}\n"
    )
    _say("| stage | foretold | processor | wall | ratio | memory foretold | memory | ratio |")
    _say("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, price in prices.items():
        _say(_row(name, price, taken[name]))


def _row(name: str, price: dict[str, Any], taken: Taken) -> str:
    seconds = taken.wall if price["gpu_bytes"] else taken.processor
    said, most = (
        (price["gpu_bytes"], taken.gpu_bytes) if price["gpu_bytes"] else (price["cpu_bytes"], taken.cpu_bytes)
    )
    memory = f"{said / 1e9:.2f} GB | {most / 1e9:.2f} GB | {said / most:.2f}" if most else "– | – | –"
    return (
        f"| {name} | {price['seconds']:.1f} s | {taken.processor:.1f} s | {taken.wall:.1f} s | "
        f"{price['seconds'] / max(seconds, 1e-3):.2f} | {memory} |"
    )


def print_configurations(root: Path) -> None:
    """What `auto --dry-run` says of public models, of which there is a configuration alone."""
    for name, write in PUBLIC.items():
        folder = root / name
        write(folder)
        command = [sys.executable, "-m", "hipp_prune", "auto", folder, "--questions", "toyworld"]
        command += ["--sparsity", str(_SPARSITY), "--out", root / "smaller", "--dry-run"]
        _say(run_measured([str(part) for part in command], status=2).output)


def _own(settings: Settings, step: str, model: str, root: Path) -> str:
    """Runs a step of this script in a process of its own; returns its last line."""
    command = [sys.executable, __file__, "--step", step, model, str(root), "--device", settings.device]
    command += ["--seed", str(settings.seed)]
    command += [] if settings.shape is None else ["--shape", settings.shape]
    command += [] if settings.evaluations is None else ["--evaluations", str(settings.evaluations)]
    command += ["--computed"] * settings.computed + ["--no-recover"] * (not settings.recover)
    return run_measured(command).output.strip().split("\n")[-1]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def do_step(settings: Settings) -> Any:
    """What one process does, as JSON says it."""
    step, model, root = settings.step
    if step == "build":
        build(SHAPES[model], Path(root) / "model", device="cpu", dtype="bfloat16", seed=settings.seed)  # type: ignore[index]
        return None
    if step == "foretell":
        return foretell(model, Path(root), settings).to_json()
    return {name: asdict(each) for name, each in do(model, Path(root), settings).items()}


def main(settings: Settings) -> None:
    """Compares each model."""
    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        os.environ["OMP_NUM_THREADS"] = (
            "1"  # of the processes below: two threads' seconds are no time that passes
        )
    _say(
        f"{platform.machine()}, {'a GPU' if on_gpu else '1 thread'}, torch {torch.__version__}, seed {settings.seed}, "
        f"load {os.getloadavg()[0]:.1f} at the start; {date.today()}"
    )
    with TemporaryDirectory() if settings.folder is None else nullcontext(settings.folder) as place:
        root = Path(place)
        if settings.configurations:
            print_configurations(root)
        elif settings.shape is None:
            for model in TOYS:
                compare(model, root / model, settings)
        else:
            write_questions(root / "questions.jsonl", settings.seed)
            if not (root / "model" / "config.json").exists():
                _own(settings, "build", settings.shape, root)
            compare(str(root / "model"), root, settings)


if __name__ == "__main__":
    told = tyro.cli(Settings, description=__doc__)
    if told.step:
        _say(json.dumps(do_step(told)))
    else:
        main(told)
