"""What an outlook says of each stage beside what the stage then takes, in one process.

    python benchmarks/outlook.py   (both embedded models, three minutes on one core)
    python benchmarks/outlook.py --folder FOLDER --evaluations 4 --count 8 --limit 32   (any checkpoint)

``--computed`` leaves out measuring, as where the weights are not there. Everything is asked of the embedded world.
"""

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import tyro

from hipp_prune import api
from hipp_prune.models.loading import TOYS
from hipp_prune.plans.preference import Preference
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.outlook import outlook
from hipp_prune.stages.settings import CalibrateSettings, EvaluateSettings, LoadSettings

_SPARSITY = 0.3
_QUESTIONS = ("toyworld",)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the script may be told."""

    folder: Path | None = None
    """A checkpoint; both embedded models without one."""
    count: int = 128
    """Calibration questions."""
    evaluations: int = 100
    """Of the search."""
    limit: int | None = None
    """Test questions a benchmark."""
    device: str = "best"
    computed: bool = False
    """Predict from the configuration alone."""


def compare(model: str, settings: Settings) -> None:
    """Prints a row a stage: predicted, real, and their ratio."""
    calibrate = CalibrateSettings(count=settings.count)
    search = SearchSettings(evaluations=settings.evaluations)
    evaluate = EvaluateSettings(limit=settings.limit)
    loading = LoadSettings(device=settings.device)
    start = time.perf_counter()
    said = outlook(
        model,
        _QUESTIONS,
        calibrate=calibrate,
        search=search,
        sparsity=_SPARSITY,
        evaluate=evaluate,
        loading=loading,
        measure=not settings.computed,
    )
    took = time.perf_counter() - start
    sys.stdout.write(f"\n{said.heading} in {took:.1f} s; {'; '.join(said.refused) or 'nothing refused'}\n\n")
    sys.stdout.write(
        "| stage | predicted | real | predicted / real | memory predicted | GPU: predicted, real |\n"
    )
    sys.stdout.write("|---|---:|---:|---:|---:|---:|\n")
    expected = {price.stage: price for price in said.prices}

    def row(stage: str, work: Callable[[], Any]) -> Any:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        result = work()
        real = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        price = expected[stage]
        sys.stdout.write(
            f"| {stage} | {price.seconds:.1f} s | {real:.1f} s | {price.seconds / real:.2f} | "
            f"{price.cpu_bytes / 1e9:.2f} GB | {price.gpu_bytes / 1e9:.2f}, {peak / 1e9:.2f} GB |\n"
        )
        sys.stdout.flush()
        return result

    with TemporaryDirectory() as place:
        root = Path(place)
        run = row(
            "calibrate", lambda: api.calibrate(model, _QUESTIONS, root / "run", calibrate, loading=loading)
        )
        planner = row("search", lambda: api.search(run.root, search, loading=loading))
        plan = planner.query(Preference.parse("1,1,1"), sparsity=_SPARSITY)
        row("prune", lambda: api.prune(model, plan, root / "smaller"))
        row(
            "evaluate",
            lambda: api.evaluate(model, _QUESTIONS, evaluate, loading=loading, cache=run.cache),
        )


def main(settings: Settings) -> None:
    """Compares each model."""
    load = os.getloadavg()[0]
    sys.stdout.write(f"{platform.machine()}, torch {torch.__version__}, load {load:.1f} at the start\n")
    for model in TOYS if settings.folder is None else (str(settings.folder),):
        compare(model, settings)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
