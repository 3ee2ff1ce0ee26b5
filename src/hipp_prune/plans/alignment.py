"""Which numbers of neurons runtimes and their quantised formats take: what ``--align-for`` knows, by name.

A block's neurons are rows of gate and up and columns of down. Quantised formats give runs of columns one scale, and
kernels read tiles, so that a width has to be a multiple of either. Several GPUs share the columns of down: what the
kernel asks for holds for the part of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm, prod
from typing import Literal, get_args

from hipp_prune.errors import BudgetError

Runtime = Literal[
    "marlin", "gptq", "awq", "fp8", "bnb4", "gguf-k", "gguf-q8", "mlx", "openvino", "tp2", "tp4", "tp8"
]  # fmt: skip
"""What a plan may be aligned for."""


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """What one runtime takes."""

    neurons: int = 1
    """Widths are multiples of this, ≥ 1, on each GPU."""
    gpus: int = 1
    """How many share every block, ≥ 1."""
    why: str
    """What asks for it, as its source calls it."""
    source: str
    """Where that is written: repository and file."""


_ROUNDING = 1e-9
"""Slack for products that are whole numbers in exact arithmetic."""
_VLLM = "vllm-project/vllm: vllm/"
_SHARED = _VLLM + "distributed/utils.py"

ALIGNMENTS: dict[Runtime, Alignment] = {
    "marlin": Alignment(
        neurons=128,
        why="GPTQ_MARLIN_MIN_THREAD_K: input columns that a thread block reads (4-bit and 8-bit weights)",
        source=_VLLM + "model_executor/layers/quantization/utils/marlin_utils.py",
    ),
    "gptq": Alignment(
        neurons=128,
        why="columns are a multiple of the group size, usually 128",
        source=_VLLM + "model_executor/layers/quantization/gptq.py",
    ),
    "awq": Alignment(
        neurons=128,
        why="columns are a multiple of the group size, usually 128",
        source=_VLLM + "model_executor/layers/quantization/awq.py",
    ),
    "fp8": Alignment(
        neurons=16,
        why="cutlass_scaled_mm: both sides of a matrix are multiples of 16, others take a slower kernel",
        source=_VLLM + "_custom_ops.py",
    ),
    "bnb4": Alignment(
        neurons=64,
        why="a row holds whole blocks of 64 numbers, and rows come in 32s, for the kernel of CPUs with AVX512-BF16",
        source="bitsandbytes-foundation/bitsandbytes: bitsandbytes/functional.py",
    ),
    "gguf-k": Alignment(
        neurons=256,
        why="QK_K: numbers of a row that a K-quant packs together",
        source="ggml-org/llama.cpp: ggml/src/ggml-common.h",
    ),
    "gguf-q8": Alignment(
        neurons=32,
        why="QK8_0, and QK4_0 too: numbers of a row that q8_0 and q4_0 pack together",
        source="ggml-org/llama.cpp: ggml/src/ggml-common.h",
    ),
    "mlx": Alignment(
        neurons=64,
        why="mx.quantize: the last axis is a multiple of the group size, 64 by default",
        source="ml-explore/mlx: mlx/ops.cpp",
    ),
    "openvino": Alignment(
        neurons=128,
        why="INT4 modes: channels are a multiple of the group size, 128 by default",
        source="openvinotoolkit/nncf: src/nncf/quantization/algorithms/weight_compression/algorithm.py",
    ),
    "tp2": Alignment(gpus=2, why="ensure_divisibility: two GPUs share every matrix evenly", source=_SHARED),
    "tp4": Alignment(gpus=4, why="ensure_divisibility: four GPUs share every matrix evenly", source=_SHARED),
    "tp8": Alignment(gpus=8, why="ensure_divisibility: eight GPUs share every matrix evenly", source=_SHARED),
}
"""What each runtime takes; the table in ``docs/serving.md`` is this one."""
assert set(ALIGNMENTS) == set(get_args(Runtime)), "every runtime has an alignment"


def aligned_neurons(align: int, runtimes: Sequence[Runtime] = ()) -> int:
    """The least number whose multiples satisfy ``align`` and all runtimes; GPUs multiply what each of them needs.

    >>> aligned_neurons(1, ["marlin", "tp2"]), aligned_neurons(64, ["gguf-k", "fp8"])
    (256, 256)
    """
    named = [ALIGNMENTS[runtime] for runtime in dict.fromkeys(runtimes)]
    return lcm(align, lcm(*(each.neurons for each in named)) * prod(each.gpus for each in named))


def fitting_alignment(align: int, runtimes: Sequence[Runtime], *, widths: Sequence[int], r_max: float) -> int:
    """What the widths of these blocks are multiples of: all that was asked for, wherever blocks are that wide.

    ``align`` says what kernels like. Where a block has fewer neurons than that takes, with what runtimes need, the
    largest divisor of ``align`` stands for it that leaves every block several widths. What runtimes need is never
    given up.

    Args:
        align: what widths are to be multiples of, ≥ 1.
        runtimes: what they are aligned for; ``check_runtimes`` has let them pass.
        widths: neurons of each block.
        r_max: largest fraction that a block may lose, in (0, 1).

    >>> fitting_alignment(64, [], widths=[16, 16], r_max=0.75), fitting_alignment(64, [], widths=[11008], r_max=0.75)
    (8, 64)
    """
    wanted = aligned_neurons(align, runtimes)
    if wanted <= min(widths):
        return wanted
    divisors = (each for each in range(min(align, min(widths)), 0, -1) if align % each == 0)
    several = (
        neurons
        for neurons in (aligned_neurons(each, runtimes) for each in divisors)
        if all(_between(neurons, _fewest(width, r_max), width - neurons) for width in widths)
    )
    return next(several, aligned_neurons(1, runtimes))


def check_runtimes(align: int, runtimes: Sequence[Runtime], *, widths: Sequence[int], r_max: float) -> None:
    """Refuses runtimes that a block has no width for, saying what is attainable.

    An ``align`` that is too wide for these blocks is no reason: ``fitting_alignment`` has another.

    Args:
        align: what else widths are multiples of, ≥ 1.
        runtimes: what they are aligned for.
        widths: neurons of each block.
        r_max: largest fraction that a block may lose, in (0, 1).

    Raises:
        BudgetError: naming the first such block.
    """
    kept = align if aligned_neurons(align, runtimes) <= min(widths) else 1
    neurons = aligned_neurons(kept, runtimes)
    bounds = [(_fewest(width, r_max), width) for width in widths]
    short = [block for block, (fewest, most) in enumerate(bounds) if not _between(neurons, fewest, most)]
    if not (runtimes and short):
        return
    fitting = [
        name for name in ALIGNMENTS if all(_between(aligned_neurons(1, [name]), *each) for each in bounds)
    ]
    attainable = (
        f"what can be had here is {' or '.join(fitting)}" if fitting else "no other name can be had here"
    )
    fewest, most = bounds[short[0]]
    beside, smaller = (f" (with --align {kept})", ", or a smaller --align") if kept > 1 else ("", "")
    raise BudgetError(
        f"--align-for {' '.join(runtimes)} needs multiples of {neurons} neurons{beside}, and none lies between the "
        f"{fewest} that r_max lets block {short[0]} lose down to and its {most}; {attainable}{smaller}"
    )


def _fewest(width: int, r_max: float) -> int:
    return width - int(r_max * width + _ROUNDING)


def _between(neurons: int, fewest: int, most: int) -> bool:
    """Whether a multiple of ``neurons`` lies in [fewest, most], which begins above zero."""
    return -(-fewest // neurons) * neurons <= most
