"""A search at scale on paper: what it would take on GPUs, from a model's shape, measured ratios and named assumptions.

    OMP_NUM_THREADS=1 python benchmarks/scale.py

Only the searcher's own time is measured here, on a synthetic landscape of as many blocks; ratios are those of
``docs/bench.md``. The defaults describe Qwen2.5-VL-72B on 8 × 8 GPUs; the table goes into ``docs/scale.md``.
"""

import sys
import time
from dataclasses import dataclass

import tyro

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.search.archive import Archive
from hipp_prune.search.loop import search
from hipp_prune.search.settings import SearchSettings

_MOMENTS = 1 + 3
"""float64 numbers that calibration keeps of an input, a modality: a count, and of each channel Σx, Σx² and max."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Model, machines and measured ratios."""

    blocks: int = 80
    """L."""
    hidden: int = 8192
    """Hidden size."""
    neurons: int = 29568
    """MLP neurons a block."""
    key_values: int = 1024
    """Key-value heads times head size."""
    vocabulary: int = 152064
    """Rows of the embedding, and of the head."""
    vision: float = 0.7e9
    """Parameters of the vision tower and projector."""
    gpus: int = 64
    """GPUs in all."""
    tokens: int = 440
    """Tokens a question: a 640 × 480 picture is 391 of them."""
    questions: int = 64
    """Questions an evaluation (--minibatch)."""
    evaluations: int = 1000
    """Evaluations a search."""
    ratio: float = 0.18
    """A plan's evaluation over the plain dense one; docs/bench.md, the larger of both families, rounded up."""
    calibration: float = 4.0
    """Calibration over a plain forward of the same questions; docs/bench.md, likewise."""
    balance: float = 0.8
    """Assumed: share of a round in which a worker works; the rest it waits for the slowest."""
    flops: float = 4e14
    """Assumed: bf16 operations a second of one GPU, 40% of an H100's peak."""
    disk: float = 2e9
    """Assumed: bytes a second of the file system to one node."""


def main(settings: Settings) -> None:
    """Prints the table."""
    own = _searcher_seconds(settings)
    rows = [_plan(settings, own, memory, each) for memory, each in ((80, 4), (141, 2))]
    sys.stdout.write(
        "| | " + " | ".join(f"{each} × {memory} GB a worker" for memory, each in ((80, 4), (141, 2)))
    )
    sys.stdout.write(" | |\n|---|---|---|---|\n")
    for name, (_, source) in rows[0].items():
        sys.stdout.write(f"| {name} | {' | '.join(row[name][0] for row in rows)} | {source} |\n")


def _plan(settings: Settings, own: float, memory: int, each: int) -> dict[str, tuple[str, str]]:
    """Every line of the table: value and where it comes from."""
    attention = 2 * settings.hidden * (settings.hidden + settings.key_values)
    block = attention + 3 * settings.hidden * settings.neurons
    parameters = settings.blocks * block + 2 * settings.vocabulary * settings.hidden + settings.vision
    mlps = 2 * 3 * settings.blocks * settings.hidden * settings.neurons
    states = 2 * 10 * settings.tokens * settings.hidden * settings.blocks
    workers = settings.gpus // each
    dense = 2 * settings.blocks * block * settings.tokens / settings.flops
    evaluation = settings.questions * dense * settings.ratio
    waves = settings.evaluations * evaluation / workers / settings.balance
    sums = settings.blocks * 2 * 8 * (2 + (_MOMENTS - 1) * (settings.hidden + settings.neurons))
    shared, alone = settings.calibration * 128 / workers * dense, 10 * 4 * dense
    return {
        "weights, bf16": (f"{2 * parameters / 1e9:.0f} GB", "shape"),
        "weights a GPU": (f"{2 * parameters / each / 1e9:.0f} of {memory} GB", "shape"),
        "with one block's gradients, and the states of ten questions between blocks (calibration, worker 0)": (
            f"{(2 * parameters + mlps / settings.blocks + states) / each / 1e9:.0f} of {memory} GB",
            "shape",
        ),
        "workers": (f"{workers}", f"{settings.gpus} GPUs"),
        "plain dense forward of a question": (
            f"{1000 * dense:.0f} ms",
            "one GPU at a time works; assumed rate",
        ),
        "evaluation of a plan": (f"{evaluation:.1f} s", "measured ratio on the line above"),
        f"{settings.evaluations:,} evaluations": (
            f"{waves / 60:.1f} min",
            "shared by the workers, assumed balance",
        ),
        "the searcher's own time": (f"{own:.0f} s", "measured here; every worker repeats it"),
        "calibration, forward": (f"{shared:.1f} s", "measured ratio; 128 questions shared by the workers"),
        "calibration, ten backward passes": (f"{alone:.1f} s", "four forwards each; worker 0"),
        "sums that calibration reduces": (f"{sums / 1e6:.0f} MB a worker", "shape, float64"),
        "loading": (
            f"{2 * parameters / settings.disk:.0f} s",
            "assumed disk; once a node, then its page cache",
        ),
        "writing a checkpoint at 30%": (
            f"{(4 * parameters - 0.3 * mlps) / settings.disk:.0f} s",
            "reads and writes, assumed disk; one process, no GPU",
        ),
    }


def _searcher_seconds(settings: Settings) -> float:
    """Processor seconds of a default search in which an evaluation costs nothing."""
    problem = Landscape(blocks=settings.blocks, neurons=settings.neurons)
    start = time.process_time()
    search(problem, SearchSettings(evaluations=settings.evaluations), Archive())
    return time.process_time() - start


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
