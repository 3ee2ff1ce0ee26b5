"""Every step of the method on a model of real shape, with and without compensation: seconds and memory of each.

The model has random weights and the proportions of Qwen2.5-VL-3B (36 blocks of 11,008 neurons, bfloat16): accuracies
mean nothing, so what is compared are logits. Every step is a process of its own, a verb of the command line where there
is one.

    python benchmarks/real_shape.py --folder build/real-shape   (an hour on two cores; 16 GB of memory, 60 GB of disk)
    python benchmarks/real_shape.py --folder build/quick --quick   (a minute)
"""

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from peak import Measured, run_measured
from shapes import SHAPES, ShapeName, build
from torch import Tensor
from workload import Load, draw_questions

from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.loading import CalibratedRun

_ASKED = Load(images=2, per_image=4)
"""The eight questions of an evaluation."""
_RELOAD = """
import sys, torch
from transformers import AutoModelForImageTextToText
folder, given, found = sys.argv[1:]
model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto", trust_remote_code=True).eval()
inputs = torch.load(given)
with torch.no_grad():
    torch.save(model(**inputs, use_cache=False).logits[:, -1].float(), found)
assert not [name for name in sys.modules if name.startswith("hipp_prune.")]
print(type(model).__name__)
"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the script may be told."""

    folder: Path
    """Where model, runs and checkpoints lie while it runs."""
    shape: ShapeName = "qwen2.5-vl-3b"
    count: int = 32
    """Calibration questions."""
    sparsity: float = 0.3
    method: str = "owl"
    """The baseline that plans: blocks of uneven widths."""
    rounds: int = 3
    """Evaluations that a steady state is the median of."""
    seed: int = 0
    quick: bool = False
    """A small shape and a few questions: does everything run?"""
    keep: bool = False
    """Leave the folder behind, to go on from what is in it."""
    out: Path | None = None
    """Markdown file to write the table to."""
    step: tuple[str, ...] = ()
    """Internal: what a process of its own does."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A step: what it took, and what there is to say."""

    what: str
    seconds: float
    peak: int
    found: str = ""

    def __str__(self) -> str:
        return f"| {self.what} | {self.seconds:.0f} s | {self.peak / 1e9:.1f} GB | {self.found} |"


class Steps:
    """The steps, one after the other.

    Args:
        settings: what the script was told.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        root = settings.folder
        self._model, self._run, self._plain = root / "model", root / "run", root / "run-none"
        self._checkpoints = {"none": root / "pruned", "ridge": root / "compensated"}

    def rows(self) -> Iterator[Row]:
        """Does everything, and yields what each step took."""
        yield from self._build()
        yield from self._calibrate()
        yield from self._plan()
        yield from self._prune()
        yield self._ask("evaluation, dense", "dense")
        yield self._ask("a search's evaluation, pruned", "search", "none")
        yield self._ask("a search's evaluation, compensated", "search", "ridge")
        yield self._ask("the same, started again", "search", "ridge")
        for mode in self._checkpoints:
            yield self._ask(f"evaluation of the checkpoint, {mode}", "checkpoint", mode)
            yield self._reload(mode)

    def _build(self) -> Iterator[Row]:
        if not (self._model / "config.json").exists():
            done, _ = self._own("build")
            yield _row(f"model of {_gigabytes(self._model)} made", done)

    def _calibrate(self) -> Iterator[Row]:
        common = ["calibrate", "--model", self._model, "--questions", "toyworld"]
        common += ["--count", self._settings.count, "--seed", self._settings.seed, "--force"]
        for run, more in ((self._plain, []), (self._run, ["--compensation", "ridge"])):
            if not (run / "calibration.safetensors").exists():
                done = self._verb(*common, "--out", run, *more)
                grams = run / "grams.safetensors"
                found = f"Gram matrices of {grams.stat().st_size / 1e9:.1f} GB" if grams.exists() else ""
                yield _row(f"`calibrate`{' --compensation ridge' if more else ''}", done, found)

    def _plan(self) -> Iterator[Row]:
        options = ["--method", self._settings.method, "--sparsity", self._settings.sparsity]
        out = self._settings.folder / "planned"
        if not out.exists():
            yield _row(f"`baseline --method {self._settings.method}`, uncompensated", self._verb(
                "baseline", "--run", self._run, *options, "--compensation", "none", "--out", out
            ))  # fmt: skip

    def _prune(self) -> Iterator[Row]:
        plan = self._settings.folder / "planned" / "plan.json"
        for mode, out in self._checkpoints.items():
            done = self._verb(
                "prune", "--run", self._run, "--plan", plan, "--compensation", mode, "--out", out, "--force"
            )
            yield _row(f"`prune --compensation {mode}`", done, f"{_gigabytes(out)} written")

    def _ask(self, what: str, *step: str) -> Row:
        done, found = self._own(*step)
        return _row(what, done, found)

    def _reload(self, mode: str) -> Row:
        root = self._settings.folder
        given, found = root / "inputs.pt", root / "reloaded.pt"
        folder = self._checkpoints[mode]
        done = run_measured([sys.executable, "-c", _RELOAD, folder, given, found], folder)
        apart = _apart(torch.load(found), torch.load(root / f"stock-{mode}.pt"))
        return _row(
            f"plain transformers reloads it ({done.output.split()[-1]})",
            done,
            f"logits differ by {apart:.1e}",
        )

    def _verb(self, *arguments: object) -> Measured:
        return run_measured([sys.executable, "-m", "hipp_prune", *map(str, arguments)], self._model)

    def _own(self, *step: str) -> tuple[Measured, str]:
        """Runs a step of this script in a process of its own; returns what it took and its last line."""
        settings = self._settings
        command = [sys.executable, __file__, "--folder", settings.folder, "--shape", settings.shape]
        command += ["--rounds", settings.rounds, "--seed", settings.seed, "--step", *step]
        weights = self._checkpoints[step[1]] if step[0] == "checkpoint" else self._model
        done = run_measured([str(part) for part in command], weights)
        return done, done.output.strip().split("\n")[-1]


def do_step(settings: Settings) -> str:
    """What one process does; returns what the table says of it."""
    step, *arguments = settings.step
    root = settings.folder
    if step == "build":
        build(SHAPES[settings.shape], root / "model", device="cpu", dtype="bfloat16", seed=settings.seed)
        return ""
    torch.set_grad_enabled(False)
    questions = draw_questions(_ASKED, root / "questions")
    if step == "search":
        return _search(settings, questions, arguments[0])
    folder = (
        root / "model" if step == "dense" else root / {"none": "pruned", "ridge": "compensated"}[arguments[0]]
    )
    adapter = load_model(folder)
    evaluator = Evaluator(adapter, questions)
    prepared = evaluator.prepare()
    text = _steady(lambda: evaluator.scores(prepared), settings.rounds, root / f"seconds-{folder.name}.json")
    if step == "checkpoint":
        dense = json.loads((root / "seconds-model.json").read_text())
        now = json.loads((root / f"seconds-{folder.name}.json").read_text())
        apart = _apart(_logits(adapter, questions), torch.load(root / f"search-{arguments[0]}.pt"))
        text += f", {now / dense:.2f} of dense; logits differ from the search's by {apart:.1e}"
        _ask_stock(adapter, questions[0], root, arguments[0])
    return text


def _search(settings: Settings, questions: list[Question], mode: str) -> str:
    """Evaluates the plan as a search would."""
    root = settings.folder
    run = CalibratedRun.open(root / "run")
    adapter = load_model(root / "model")
    kept = Plan.load(root / "planned" / "plan.json").kept
    config = SearchSettings(minibatch=len(questions), per_image=_ASKED.per_image, compensation=mode)  # type: ignore[arg-type]
    start = time.perf_counter()
    problem = ModelProblem(
        adapter, run.calibration(adapter), questions, config,
        grams=run.grams() if mode == "ridge" else None, factors=run.directory.factors,
    )  # fmt: skip
    prepared = time.perf_counter() - start

    def evaluate() -> None:
        problem.evaluate(np.array(kept), "bench", len(questions))

    start = time.perf_counter()
    evaluate()
    first = time.perf_counter() - start
    text = _steady(evaluate, settings.rounds, root / f"seconds-search-{mode}.json")
    with problem.sorted.apply(kept):
        torch.save(_logits(adapter, questions), root / f"search-{mode}.pt")
    return f"prepared in {prepared:.0f} s; first {first:.1f} s, then {text}"


def _steady(evaluate: Callable[[], object], rounds: int, path: Path) -> str:
    """Median seconds of an evaluation, and processor seconds, which other work on the machine leaves alone."""
    evaluate()
    wall, own = [], []
    for _ in range(rounds):
        start, busy = time.perf_counter(), time.process_time()
        evaluate()
        wall.append(time.perf_counter() - start)
        own.append(time.process_time() - busy)
    path.write_text(json.dumps(float(np.median(own))))
    return f"{np.median(wall):.2f} s each ({np.median(own):.2f} of a processor)"


def _logits(adapter: Adapter, questions: list[Question]) -> Tensor:
    evaluator = Evaluator(adapter, questions, packed=False)
    return torch.cat([adapter.answer_logits(part.batch, part.images) for part in evaluator.prepare()])


def _ask_stock(adapter: Adapter, question: Question, root: Path, mode: str) -> None:
    """Keeps what the stock model is given, and what ours says to it."""
    (path,) = question.images
    picture = read_image(path)
    features = {path: adapter.encode_images([picture])[0]}
    batch, images = adapter.encode([question], features)
    pixels = adapter.processor.pixels([picture])["pixel_values"].to(adapter.model.dtype)
    inputs: dict[str, Any] = {
        "input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "pixel_values": pixels, **batch.extras
    }  # fmt: skip
    torch.save(inputs, root / "inputs.pt")
    torch.save(adapter.answer_logits(batch, images), root / f"stock-{mode}.pt")


def _apart(found: Tensor, expected: Tensor) -> float:
    """Largest difference, in standard deviations of the logits."""
    return float((found - expected).abs().max() / expected.std())


def _row(what: str, done: Measured, found: str = "") -> Row:
    return Row(what=what, seconds=done.seconds, peak=done.peak, found=found)


def _gigabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e9:.1f} GB"


def main(settings: Settings) -> None:
    """Prints the table."""
    if settings.quick:
        settings = Settings(
            folder=settings.folder,
            shape="small-qwen",
            count=8,
            rounds=1,
            keep=settings.keep,
            out=settings.out,
        )
    settings.folder.mkdir(parents=True, exist_ok=True)
    where = (
        f"{settings.shape}, bfloat16, {settings.count} calibration questions, {settings.sparsity:.0%} of the neurons "
        f"removed by `{settings.method}`, seed {settings.seed}; {platform.machine()}, "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at the start; torch {version('torch')}, "
        f"transformers {version('transformers')}; {date.today()}"
    )
    lines = [where, "", "| step | time | peak memory | |", "|---|---|---|---|"]
    sys.stdout.write("\n".join(lines) + "\n")
    for row in Steps(settings).rows():
        lines.append(str(row))
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    if settings.out is not None:
        settings.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not settings.keep:
        shutil.rmtree(settings.folder)


if __name__ == "__main__":
    told = tyro.cli(Settings, description=__doc__)
    if told.step:
        sys.stdout.write(do_step(told) + "\n")
    else:
        main(told)
