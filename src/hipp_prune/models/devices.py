"""Where a model computes: the best device there is, how many threads suit a model, and which precisions are slow."""

import platform
from pathlib import Path

import torch

from hipp_prune import distributed
from hipp_prune.errors import InputError

BEST = "best"
"""The name of whichever device is fastest: cuda, else mps, else cpu."""
SPLIT = "auto"
"""The name of several GPUs among which one model is split."""

_ONE_THREAD = 2**25
"""Parameters of a language model up to which one thread is as fast as several (``benchmarks/threads.py``)."""
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""What Linux calls processors' instructions for it: Intel's and AMD's, ARM's."""
_PROCESSOR = Path("/proc/cpuinfo")


def best_device() -> str:
    """``cuda`` where there is one, else ``mps`` if it has float64, which calibration sums in, else ``cpu``."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() and _has_doubles("mps") else "cpu"


def _has_doubles(device: str) -> bool:
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return False
    return True


def parse_device(device: str) -> torch.device:
    """The torch device of that name, ``best`` too; of several workers on a machine each has its own ``cuda``.

    Raises:
        InputError: if there is none on this machine.
    """
    name = best_device() if device == BEST else device
    if name == "cuda" and distributed.num_workers() > 1:
        name = f"cuda:{distributed.gpus(torch.cuda.device_count())[0]}"
    try:
        parsed = torch.device(name)
        torch.empty(0, device=parsed)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = " ".join(line.strip() for line in str(error).strip().split("\n")[:2])
        raise InputError(f"device {device!r} is not available here ({said[:300]}); try cpu") from error
    return parsed


def describe_device(device: torch.device) -> str:
    """A device as people know it: ``cuda:0 (NVIDIA H100, 79 GB)``, ``cpu (x86_64, 8 threads)``."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        told = torch.cuda.get_device_properties(index)
        return f"cuda:{index} ({told.name}, {told.total_memory / 1e9:.0f} GB)"
    if device.type != "cpu":
        return str(device)
    threads = torch.get_num_threads()
    return f"cpu ({platform.machine()}, {threads} {'thread' if threads == 1 else 'threads'})"


def useful_threads(parameters: int, cpus: int) -> int:
    """Threads that make a language model faster, in [1, ``cpus``]: one for a small one, else a processor each.

    The many short products of a small model end before several threads have met, and where something else is running
    they wait for the slowest of them.

    Args:
        parameters: of the language model.
        cpus: processors that may be used, ≥ 1.
    """
    return 1 if parameters < _ONE_THREAD else cpus


def slow_precision(device: torch.device, dtype: torch.dtype) -> str | None:
    """What to do about a precision in which this device is slow; None where it is not, or nobody knows."""
    if device.type != "cpu":
        return None
    if dtype == torch.float16:
        return (
            "float16 is slow on a processor; add --dtype bfloat16, or float32, which takes twice the memory"
        )
    flags = _flags()
    if dtype == torch.bfloat16 and flags and not flags & _BFLOAT16:
        return "this processor has no instructions for bfloat16; --dtype float32 is faster and takes twice the memory"
    return None


def _flags() -> set[str]:
    """What this machine's processor can do, in Linux's words; empty elsewhere."""
    try:
        lines = _PROCESSOR.read_text().splitlines()
    except OSError:
        return set()
    told = [line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))]
    return {flag for flags in told[:1] for flag in flags}
