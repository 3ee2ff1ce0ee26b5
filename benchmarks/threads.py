"""How many threads make a model faster: one question's forward pass by number of threads, small models and larger ones.

python benchmarks/threads.py   (a minute; give it a quiet machine, and none of OMP_NUM_THREADS)
"""

import os
import platform
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from shapes import SHAPES, ShapeName, build

from hipp_prune.files.machine import usable_cpus
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.devices import useful_threads

_SEQUENCES, _TOKENS, _ROUNDS = 8, 64, 9
_SHAPES: tuple[ShapeName, ...] = ("small-llava", "wide-llava")


def seconds(adapter: Adapter, threads: int) -> float:
    """The fastest of some passes of the language model over a batch."""
    torch.set_num_threads(threads)
    states = torch.randn(_SEQUENCES, _TOKENS, adapter.shape.hidden_size).to(adapter.model.dtype)
    decoder, found = adapter.model.get_decoder(), []
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            decoder(inputs_embeds=states, use_cache=False)
            found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    """Prints a row a model: seconds with one thread, and how much faster more are."""
    cpus = usable_cpus()
    counts = sorted({1, 2, cpus})
    sys.stdout.write(f"{platform.machine()}, {cpus} processors, load {os.getloadavg()[0]:.1f}\n\n")
    speeds = " | ".join(f"{count} threads" for count in counts[1:])
    sys.stdout.write(f"| model | language parameters | 1 thread | {speeds} | the rule says |\n")
    sys.stdout.write("|---|---:|---:|" + "---:|" * len(counts) + "\n")
    with TemporaryDirectory() as folder:
        models: dict[str, str | Path] = {"toy-llava": "toy-llava", "toy-qwen2.5-vl": "toy-qwen2.5-vl"}
        for name in _SHAPES:
            build(SHAPES[name], Path(folder) / name, device="cpu", dtype="float32")
            models[name] = Path(folder) / name
        for name, source in models.items():
            adapter = load_model(source)
            one, *more = (seconds(adapter, count) for count in counts)
            gains = " | ".join(f"{one / each:.2f}×" for each in more)
            parameters = adapter.shape.language_parameters
            rule = useful_threads(parameters, cpus)
            sys.stdout.write(f"| {name} | {parameters:,} | {1000 * one:.1f} ms | {gains} | {rule} |\n")


if __name__ == "__main__":
    main()
