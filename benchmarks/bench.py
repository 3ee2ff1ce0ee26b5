"""What evaluating, querying and pruning cost, as ratios measured in one run on one machine.

Run: make bench                             (three small models, about three minutes on two cores)
     python benchmarks/bench.py --quick     (a minute)
On a GPU: python benchmarks/bench.py --shapes llava-1.5-7b --checkpoints llava-1.5-7b --device cuda --dtype bfloat16

The models have random weights and the proportions of public ones. Ways that are compared take turns, so that whatever
else the machine does hits all alike; medians over rounds.
"""

import copy
import ctypes
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
import tyro
from shapes import SHAPES, ShapeName, build
from workload import PACKED, PLAIN, SPARSITIES, UNPACKED, Load, Workload, clock, race

from hipp_prune import api
from hipp_prune.calibration.measurement import calibrate
from hipp_prune.evaluation.speed import measure_speedups
from hipp_prune.files.writing import write_text
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.forward_cost import flops_table
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.pruning.prefix_views import sort_neurons
from hipp_prune.search.policy.network import PlanPolicy
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.solutions import PolicySolution


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    shapes: tuple[ShapeName, ...] = ("small-llava", "small-qwen")
    """Public configurations, or small ones in their proportions."""
    checkpoints: ShapeName = "wide-llava"
    """The model whose pruned checkpoints are timed: so wide that arithmetic is what costs, as in real ones."""
    load: tyro.conf.OmitArgPrefixes[Load] = field(default_factory=Load)
    rounds: int = 4
    quick: bool = False
    """Two pictures, two rounds, the first model alone."""
    folder: Path | None = None
    """Where checkpoints are written (14 GB for 7B in bfloat16, twice); a temporary folder by default."""
    out: Path | None = None
    """Markdown file to write."""
    probe: str = ""
    """Internal: runs one way in a process of its own and prints its peak memory."""
    compensation: Literal["none", "ridge"] = "none"
    """Internal: of the plans that this process evaluates."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = {True: " ✓", False: " ✗", None: ""}[self.met]
        return f"| {self.what} | {self.value} | {self.goal}{verdict} |"


def evaluation_rows(work: Workload, rounds: int) -> Iterator[Row]:
    """A plan's evaluation against the plain way, factor by factor."""
    batch = work.adapter.encode(work.questions[:1], work.features)[0]
    image = int(batch.image_mask.sum())
    text = batch.input_ids.numel() - image
    ratio = image / text
    yield Row(
        what="image tokens a text token; questions an image",
        value=f"{image} / {text} = {ratio:.1f}; {work.load.per_image}",
        goal="≥ 8; 6",
    )
    seconds = race(work.ways(), rounds)
    names = {
        PLAIN: "dense, the plain way: pixels with every question, logits everywhere",
        UNPACKED: "dense, pictures encoded once, logits at the answer only",
        PACKED: "dense, questions about a picture in one sequence",
    }
    for name, taken in seconds.items():
        evaluation = name == f"{SPARSITIES[0]:.1%}"
        share = taken / seconds[PLAIN]
        yield Row(
            what=names.get(name, f"**evaluation of a plan at {name}**"),
            value=f"{1000 * taken / len(work.questions):.2f} ms a question, {share:.2f} of plain",
            goal="≤ 0.30" if evaluation else "",
            met=share <= 0.3 if evaluation else None,
        )
    gain = seconds[UNPACKED] / seconds[PACKED]
    yield Row(what="packed against unpacked", value=f"{gain:.1f}× faster", goal="≥ 3×", met=gain >= 3)
    yield parity_row(work)
    yield flow_row(work)
    yield apply_row(work, seconds[f"{SPARSITIES[0]:.1%}"])
    each = 64 * seconds[f"{SPARSITIES[0]:.1%}"] / len(work.questions)
    yield Row(what="1,000 evaluations of 64 such questions", value=f"{1000 * each / 60:.1f} minutes")
    spent = race({"calibrate": lambda: calibrate(work.adapter, work.questions)}, 1)["calibrate"]
    yield Row(
        what="calibration on these questions, 10 backward passes included",
        value=f"{spent / seconds[PLAIN]:.2f} of plain",
    )


def parity_row(work: Workload) -> Row:
    """How far packed logits are from unpacked ones."""
    with torch.inference_mode():
        ways = [way(work.questions, work.features) for way in (work.adapter.encode, work.adapter.pack)]
        one, other = (work.adapter.answer_logits(*way) for way in ways)
    difference = float((one - other).abs().max())
    exact = work.adapter.model.dtype == torch.float32
    return Row(
        what="largest difference of a logit, packed against unpacked",
        value=f"{difference:.1e} (logits up to {float(one.abs().max()):.1f})",
        goal="≤ 1e-4 in float32",
        met=difference <= 1e-4 if exact else None,
    )


def apply_row(work: Workload, evaluation: float) -> Row:
    """Applying a plan and taking it back."""
    kept = work.plan(SPARSITIES[0]).tolist()

    def apply() -> None:
        for _ in range(100):
            with work.problem.sorted.apply(kept):
                pass

    seconds = race({"apply": apply}, 5)["apply"] / 100
    return Row(
        what="applying a plan and undoing it",
        value=f"{1e6 * seconds:.0f} µs, {seconds / evaluation:.3%} of its evaluation",
    )


def flow_row(work: Workload) -> Row:
    """Eq. 13 for many plans: what a search asks before it pays for an evaluation."""
    kept = np.tile(work.plan(SPARSITIES[0]), (512, 1))
    seconds = race({"flow": lambda: work.problem.log_ratio(kept)}, 5)["flow"] / len(kept)
    return Row(what="stability ℓ of a plan (Eq. 13), no forward pass", value=f"{1e6 * seconds:.2f} µs")


def compensation_rows(work: Workload, rounds: int) -> Iterator[Row]:
    """A compensated plan's evaluation against an uncompensated one's, once its down projections have been fitted."""
    start = time.perf_counter()
    compensated = Workload(work.load, work.checkpoint, work.checkpoint.parent, "ridge")
    prepared = time.perf_counter() - start
    name = f"{SPARSITIES[0]:.1%}"
    evaluate = compensated.ways()[name]
    first = clock(evaluate)
    seconds = race({"none": work.ways()[name], "ridge": evaluate}, 3 * rounds)
    share = seconds["ridge"] / seconds["none"]
    yield Row(
        what=f"evaluation of a compensated plan at {name}, in the steady state",
        value=f"{1000 * seconds['ridge'] / len(work.questions):.2f} ms a question, {share:.2f} of an uncompensated "
        f"one; the first takes {first:.1f} s, calibrating and preparing {prepared:.0f} s",
        goal="≤ 1.1",
        met=share <= 1.1,
    )


def memory_rows(work: Workload) -> Iterator[Row]:
    """Peak memory of a search's evaluation against the plain way, weights included."""
    name = f"{SPARSITIES[0]:.1%}"
    if work.load.device.startswith("cuda"):
        ways = work.ways()
        plain, *peaks = [_cuda_peak(ways[way]) for way in (PLAIN, name)]
    else:
        plain, *peaks = [
            _probed_peak(work, way, mode) for way, mode in ((PLAIN, "none"), (name, "none"), (name, "ridge"))
        ]
    goals = {"an evaluation": 1.15, "an evaluation of a compensated plan": 1.3}
    for (what, goal), peak in zip(goals.items(), peaks, strict=False):
        share = peak / plain
        yield Row(
            what=f"peak memory of {what}",
            value=f"{peak / 2**20:.0f} MiB, {share:.2f} of plain",
            goal=f"≤ {goal}",
            met=share <= goal,
        )


def _cuda_peak(way: Callable[[], object]) -> int:
    torch.cuda.reset_peak_memory_stats()
    way()
    return torch.cuda.max_memory_allocated()


def _probed_peak(work: Workload, name: str, compensation: str) -> int:
    """Peak resident bytes of a process that does nothing else."""
    load = work.load
    command = [sys.executable, __file__, "--probe", name, "--folder", str(work.checkpoint.parent)]
    command += ["--shapes", work.checkpoint.name, "--images", str(load.images), "--dtype", load.dtype]
    command += ["--compensation", compensation]
    command += ["--per-image", str(load.per_image), "--plain-batch", str(load.plain_batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def probe(settings: Settings) -> None:
    """Runs one way, and prints the peak of the memory this process had while it ran."""
    assert settings.folder is not None, "the parent names its folder"
    checkpoint = settings.folder / settings.shapes[0]
    way = Workload(settings.load, checkpoint, settings.folder, settings.compensation).ways()[settings.probe]
    if settings.compensation == "ridge":
        way()  # fits the down projections: what is asked is what they take afterwards
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    way()
    status = Path("/proc/self/status").read_text()
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{int(kibibytes) * 1024}\n")


def checkpoint_rows(work: Workload, planner: Planner, rounds: int) -> Iterator[Row]:
    """Wall time of pruned checkpoints, stored and loaded again, against the FLOPs they keep."""
    tokens = work.adapter.encode(work.questions, work.features)[0].input_ids.shape[1]
    table = flops_table(work.adapter, tokens)
    plans = [planner.plan(work.plan(sparsity, align=64)) for sparsity in SPARSITIES]
    folder = work.checkpoint.parent
    pruned = []
    for number, plan in enumerate(plans):
        api.prune(str(work.checkpoint), plan, folder / f"pruned-{number}", force=True)
        pruned.append(work.open(folder / f"pruned-{number}"))
    asked = work.questions[
        : work.load.per_image
    ]  # short turns: what else the machine does changes from one to the next
    speedups = measure_speedups(work.adapter, pruned, asked, rounds=3 * rounds)
    for plan, speedup in zip(plans, speedups, strict=True):
        flops = 1 - float(table.saved(plan.ratios))
        excess = 1 / speedup / flops - 1
        yield Row(
            what=f"pruned checkpoint, {plan.ledger.mlp:.1%} of the neurons, widths multiples of 64",
            value=f"{1 / speedup:.3f} of the dense time, {flops:.3f} of its FLOPs: {excess:+.1%}",
            goal="≤ 5% more",
            met=excess <= 0.05,
        )


def make_planner(work: Workload) -> Planner:
    """What answers queries after a search; an untrained policy takes as long as a trained one."""
    problem = work.problem
    policy = PlanPolicy(problem.state.shape[1]).eval()
    answers = PolicySolution(policy=policy, state=problem.state, space=problem.space, settings=work.settings)
    return Planner(
        answers=answers,
        space=problem.space,
        settings=work.settings,
        state=problem.state,
        features=problem.states.names,
        orders=tuple(problem.sorted.rankings),
        scale=(1.0, 1.0, 1.0),
        questions="none",
    )


def query_row(planner: Planner) -> Row:
    """A preference answered."""
    preference = Preference.parse("1,1,1")
    seconds = race({"query": lambda: planner.query(preference, sparsity=SPARSITIES[0])}, 20)["query"]
    return Row(what="a query", value=f"{1000 * seconds:.1f} ms")


def pruning_rows(work: Workload, planner: Planner, rounds: int) -> Iterator[Row]:
    """Magnitude pruning of the MLPs by the same ratios, in memory and to disk: ours and Torch-Pruning's."""
    plan = planner.plan(work.plan(SPARSITIES[0], align=64))
    folder = work.checkpoint.parent
    work.problem.sorted.restore()
    turns = []
    for _ in range(rounds + 1):
        ours = clock(lambda: prune_in_memory(work.adapter, plan))
        stored = clock(lambda: api.prune(str(work.checkpoint), plan, folder / "pruned-0", force=True))
        turns.append([ours, stored, *_time_torch_pruning(work, plan, folder / "pruned.pt")])
    ours, stored, theirs, theirs_stored = (1000 * np.median(turns[1:], axis=0)).tolist()
    peer = "Torch-Pruning " + ("(not installed)" if np.isnan(theirs) else version("torch-pruning"))
    yield Row(
        what="magnitude pruning in memory, scoring included",
        value=f"{ours:.0f} ms, {peer} {theirs:.0f} ms",
        goal="faster",
        met=None if np.isnan(theirs) else ours < theirs,
    )
    yield Row(
        what="magnitude pruning to disk",
        value=f"{stored:.0f} ms to a checkpoint for `from_pretrained`; {peer} and its weights alone "
        f"{theirs_stored:.0f} ms",
    )


def prune_in_memory(adapter: Adapter, plan: Plan) -> None:
    """Scores, sorts, cuts; then puts everything back, which is counted too."""
    scores = [
        torch.cat([block.gate.weight, block.up.weight, block.down.weight.T], dim=1).double().norm(dim=1)
        for block in adapter.blocks
    ]
    model = sort_neurons(adapter, scores)
    with model.apply(plan.kept):
        pass
    model.restore()


def _time_torch_pruning(work: Workload, plan: Plan, file: Path) -> tuple[float, float]:
    """Seconds of Torch-Pruning in memory, and with its weights saved; NaN where it is not installed.

    It gets a copy of the model, whose making is not counted, and traces a short text: with a picture in front that
    takes minutes, for the same MLPs.
    """
    try:
        import torch_pruning
    except ImportError:
        return np.nan, np.nan
    model = copy.deepcopy(work.adapter.model)
    mlps = [model.get_submodule(block.name).mlp for block in work.adapter.blocks]

    def prune() -> None:
        torch_pruning.pruner.BasePruner(
            model,
            {"input_ids": torch.arange(4, device=model.device)[None], "use_cache": False},
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=0.0,
            pruning_ratio_dict=dict(zip([mlp.gate_proj for mlp in mlps], plan.ratios.tolist(), strict=True)),
            output_transform=lambda output: output.logits,
        ).step()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds = clock(prune)
    widths = [mlp.down_proj.in_features for mlp in mlps]
    assert widths == list(plan.kept), f"Torch-Pruning kept {widths}, the plan {plan.kept}"
    stored = clock(lambda: torch.save(model.state_dict(), file))
    file.unlink()
    return seconds, seconds + stored


def measure(settings: Settings, name: ShapeName, root: Path) -> Iterator[Row]:
    """All rows of one model."""
    build(SHAPES[name], root / name, device=settings.load.device, dtype=settings.load.dtype)
    work = Workload(settings.load, root / name, root)
    planner = make_planner(work)
    if name in settings.shapes:
        yield from evaluation_rows(work, settings.rounds)
        yield from compensation_rows(work, settings.rounds)
        yield from memory_rows(work)
        yield query_row(planner)
        yield from pruning_rows(work, planner, settings.rounds)
    if name == settings.checkpoints:
        yield from checkpoint_rows(work, planner, settings.rounds)


def machine(load: Load) -> str:
    """Where the numbers come from."""
    where = torch.cuda.get_device_name() if load.device.startswith("cuda") else platform.machine()
    busy = os.getloadavg()[0]
    return (
        f"{where}, {torch.get_num_threads()} threads, load {busy:.1f} at the start, {load.dtype}; python "
        f"{platform.python_version()}, torch {version('torch')}, transformers {version('transformers')}; {date.today()}"
    )


def main(settings: Settings) -> None:
    """Prints a table a model, and writes the page."""
    if settings.probe:
        probe(settings)
        return
    if settings.quick:
        settings = replace(
            settings, shapes=settings.shapes[:1], rounds=2, load=replace(settings.load, images=2)
        )
    command = "python benchmarks/bench.py " + " ".join(sys.argv[1:])
    lines = [
        "# What evaluating, querying and pruning cost\n",
        f"Written by `{command.strip()}` ({machine(settings.load)}).\n",
    ]
    with TemporaryDirectory() as temporary:
        root = settings.folder or Path(temporary)
        for name in dict.fromkeys((*settings.shapes, settings.checkpoints)):
            shape = SHAPES[name]
            lines += [
                f"## {name}\n",
                f"{shape.blocks} blocks, hidden size {shape.hidden}, {shape.neurons} neurons a block.\n",
                "| | measured | goal |\n|---|---|---|",
            ]
            sys.stdout.write("\n".join(lines[-3:]) + "\n")
            for row in measure(settings, name, root):
                sys.stdout.write(f"{row}\n")
                sys.stdout.flush()
                lines.append(str(row))
            lines.append("")
    if settings.out:
        write_text(settings.out, "\n".join(lines))


if __name__ == "__main__":
    main(tyro.cli(Settings))
