"""An elastic checkpoint of three plans against one checkpoint a plan: bytes, seconds and memory of loading; Markdown.

Run: PYTHONPATH=. python benchmarks/elastic.py   (minutes; --models qwen2.5-vl-3b --dtype bfloat16 needs 25 GB of disk)

Both are opened by plain transformers with the code beside the weights, in a process of its own for each model, and
every page of the weights is touched. Memory is the process's most resident bytes while it loads, mapped files included,
above what it had before. Plans remove 30%, 50% and 70% of the neurons, unevenly. With compensation they have down
projections of their own; what these hold is random, since bytes and seconds do not depend on it.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import tyro
from shapes import SHAPES, Shape, build
from torch import Tensor

from hipp_prune.checkpoints.elastic import CarriedOut, write_elastic
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.files.markdown import markdown_table
from hipp_prune.files.sizes import format_bytes
from hipp_prune.models import TOYS, load_model
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.plan import Plan, keep_masks, pack_masks
from hipp_prune.plans.prefixes import nested_orders
from hipp_prune.plans.space import ModelShape, PlanSpace
from tests.tiny import FAMILIES

SPARSITIES = (0.3, 0.5, 0.7)
COLUMNS = (
    "model", "compensation", "plan", "own checkpoint", "of elastic: loads", "its own", "seconds: own, elastic",
    "memory: own, elastic", "logits differ by",
)  # fmt: skip
_LOAD = """
import ctypes, gc, json, statistics, sys, time, torch
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.utils.logging import disable_progress_bar
disable_progress_bar()
elastic, times, *plans = sys.argv[1:]
def resident(line):
    return next(1024 * int(each.split()[1]) for each in open("/proc/self/status") if each.startswith(line))
config = AutoConfig.from_pretrained(elastic)
with torch.device("meta"):  # what the classes import is not what loading takes
    AutoModelForImageTextToText.from_config(config)
images = [getattr(config, f"image_token_{end}", None) for end in ("id", "index")]
ids = torch.tensor([[token for token in range(3, 35) if token not in images]])
def load(folder, **options):
    seconds, memory = [], []
    for _ in range(int(times)):
        model = None
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        open("/proc/self/clear_refs", "w").write("5")
        before, start = resident("VmRSS"), time.perf_counter()
        model = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True, dtype="auto", **options)
        sum(parameter.detach().flatten()[::512].float().sum() for parameter in model.parameters())
        seconds.append(time.perf_counter() - start)
        memory.append(resident("VmHWM") - before)
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits.float()
    return statistics.median(seconds), statistics.median(memory), logits
load(elastic)
said = {}
for plan in plans:
    (*own, expected), (*prefixes, found) = load(elastic + "-" + plan), load(elastic, plan=plan)
    difference = float((expected - found).abs().max() / expected.abs().max())
    said[plan] = {"seconds": [own[0], prefixes[0]], "memory": [own[1], prefixes[1]], "difference": difference}
assert not [name for name in sys.modules if name.startswith("hipp_prune.")]
print(json.dumps(said))
"""
"""Both are medians of several loads, after some of the dense model; checkpoints of plans lie beside the elastic one."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the script may be told."""

    models: tuple[str, ...] = (*TOYS, "small-llava", "small-qwen", "idefics3", "internvl", "glm4v")
    """Embedded models, shapes of ``benchmarks/shapes.py``, and families of ``tests/tiny.py``."""
    compensation: tuple[Compensation, ...] = ("ridge",)
    """none: without down projections of their own."""
    dtype: str = "float32"
    """Of the weights of shapes."""
    times: int = 3
    """Loads that a time is the median of."""
    seed: int = 0
    folder: Path | None = None
    """Where checkpoints lie while it runs; a temporary folder by default."""


def main(settings: Settings) -> None:
    """Prints both tables, and which machine they are of."""
    rows = []
    totals = []
    for name in settings.models:
        for mode in settings.compensation:
            with TemporaryDirectory(dir=settings.folder) as temporary:
                found, total = measure(name, mode, Path(temporary), settings)
            rows += found
            totals.append(total)
    sys.stdout.write(markdown_table([COLUMNS, *rows]) + "\n\n")
    header = ("model", "compensation", "dense", "elastic: dense and 3 plans", "4 checkpoints")
    sys.stdout.write(markdown_table([header, *totals]) + "\n\n")
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "safetensors"))
    where = f"{platform.machine()}, {torch.get_num_threads()} thread"
    sys.stdout.write(
        f"{where}, Python {platform.python_version()}, {versions}; seed {settings.seed}; {date.today()}\n"
    )


def measure(
    name: str, mode: Compensation, folder: Path, settings: Settings
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Writes both kinds of checkpoints of a model, and loads every plan of each."""
    source = find_model(name, folder, settings)
    shape = load_model(source).shape
    plans = draw_plans(shape, settings.seed)
    carried = {name: carry_out(plan, mode, settings.seed) for name, plan in plans.items()}
    by_plan = {id(plan): carried[name] for name, plan in plans.items()}
    report = write_elastic(
        source, folder / "elastic", plans, nested_orders(plans), lambda plan: by_plan[id(plan)]
    )
    own = {
        plan: prune_checkpoint(
            source, done.plan, folder / f"elastic-{plan}", shape=shape, down_weights=done.down_weights
        ).bytes_after
        for plan, done in carried.items()
    }
    loads = load_apart(report.path, list(plans), settings.times)
    rows = [
        (name, mode, plan, format_bytes(own[plan]), format_bytes(report.plans[plan].loaded),
         format_bytes(report.plans[plan].own), *loads[plan])
        for plan in plans
    ]  # fmt: skip
    together = report.dense + sum(size.own for size in report.plans.values())
    sizes = (report.dense, together, report.dense + sum(own.values()))
    return rows, (name, mode, *map(format_bytes, sizes))


def find_model(name: str, folder: Path, settings: Settings) -> Path:
    """The checkpoint of a model, made in a folder where it is not embedded."""
    if name in TOYS:
        return local_folder(name)
    if name in FAMILIES:
        return FAMILIES[name](folder, seed=settings.seed)
    shapes: dict[str, Shape] = {**SHAPES}
    build(shapes[name], folder / "dense", device="cpu", dtype=settings.dtype, seed=settings.seed)
    return folder / "dense"


def load_apart(elastic: Path, plans: Sequence[str], times: int) -> dict[str, tuple[str, str, str]]:
    """Seconds, memory and difference of each plan, measured in a process of its own."""
    words = [sys.executable, "-c", _LOAD, str(elastic), str(times), *plans]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return {
        plan: (
            ", ".join(f"{seconds:.3f}" for seconds in said["seconds"]),
            ", ".join(format_bytes(int(memory)) for memory in said["memory"]),
            f"{said['difference']:.1e}",
        )
        for plan, said in json.loads(done.stdout.splitlines()[-1]).items()
    }


def draw_plans(shape: ModelShape, seed: int) -> dict[str, Plan]:
    """Plans of one random ranking, the widths of whose blocks are drawn within a fifth of each other."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(neurons) for neurons in shape.neurons]
    share = rng.uniform(0.9, 1.1, len(orders))
    plans = {}
    for sparsity in SPARSITIES:
        kept = [
            max(1, round(neurons * min(1.0, (1 - sparsity) * part)))
            for neurons, part in zip(shape.neurons, share, strict=True)
        ]
        space = PlanSpace(shape=shape, r_max=0.99)
        plans[f"{sparsity:g}"] = Plan(
            shape=shape, unit="coupled", kept=tuple(kept), masks=pack_masks(keep_masks("coupled", orders, kept)),
            ledger=space.ledger(np.array(kept)), importance="random",
        )  # fmt: skip
    return plans


def carry_out(plan: Plan, mode: Compensation, seed: int) -> CarriedOut:
    """The plan, its down projections moved at random where they are to be its own."""
    if mode == "none":
        return CarriedOut(plan=plan)
    masks = plan.keep_masks()

    def moved(block: int, weight: Tensor) -> Tensor:
        kept = weight[:, torch.from_numpy(masks[block])].float()
        noise = torch.randn(kept.shape, generator=torch.Generator().manual_seed(seed + block))
        return kept + 0.01 * noise * kept.std()

    return CarriedOut(plan=plan.with_compensation(mode, None), down_weights=moved)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
