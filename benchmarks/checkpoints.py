"""How fast checkpoints of one's own are in transformers, ONNX Runtime and llama.cpp, the dense one beside the pruned.

Run: OMP_NUM_THREADS=1 python benchmarks/checkpoints.py --dense DENSE --pruned SMALLER [...]
(minutes for a hundred million parameters; LLaVA on a Llama backbone; needs `pip install gguf xllamacpp onnxruntime`)

All are float32 on as many threads, take turns in one process, and are asked with the same prompt: one picture in
transformers and ONNX Runtime, as many token ids in llama.cpp. Medians over rounds.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tyro
from llama_cpp import complete, serve
from runtimes import Ways, ways
from workload import clock

from hipp_prune import api
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.files.markdown import markdown_table

COLUMNS = (
    "checkpoint", "MB", "runtime", "prompt, tokens/s", "of dense", "next token, tokens/s", "of dense",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the script may be told."""

    dense: Path
    """Folder of the dense checkpoint."""
    pruned: tuple[Path, ...]
    """Folders of others."""
    rounds: int = 7
    """Turns that count; one more warms up."""
    generated: int = 16
    """Tokens that llama.cpp generates a turn."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Tokens a second."""

    prompt: float
    generated: float


def one_turn(timed: Ways, server: Any, generated: int) -> Iterator[tuple[str, Speed]]:
    """Each runtime once, on a prompt of one length."""
    length = next(int(name.split()[2].rstrip(",")) for name in timed if name.startswith("prompt"))
    for runtime in ("torch", "onnx"):
        yield (
            runtime,
            Speed(
                prompt=length / clock(timed[f"prompt of {length}, {runtime}"]),
                generated=1 / clock(timed[f"next token, {runtime}"]),
            ),
        )
    ids = np.random.default_rng(0).integers(5, 300, length).tolist()
    timings = complete(server, ids, tokens=generated)["timings"]
    yield (
        "llama.cpp",
        Speed(prompt=timings["prompt_per_second"], generated=timings["predicted_per_second"]),
    )


def measure(settings: Settings, folder: Path) -> Iterator[tuple[str, ...]]:
    """A row for each checkpoint in each runtime."""
    models = {
        path.name if path != settings.dense else "dense": path for path in (settings.dense, *settings.pruned)
    }
    ready = {}
    for name, path in models.items():
        api.export(str(path), "onnx", folder / f"{name}-onnx")
        written = api.ExportSettings(token_ids=True, precision="f32")
        api.export(str(path), "gguf", folder / f"{name}.gguf", written)
        ready[name] = ways(path, folder / f"{name}-onnx"), serve(folder / f"{name}.gguf", exact=False)
    turns = [
        {(name, runtime): speed for name, (timed, server) in ready.items()
         for runtime, speed in one_turn(timed, server, settings.generated)}
        for _ in range(settings.rounds + 1)
    ][1:]  # fmt: skip
    for name, runtime in turns[0]:
        stored = sum(shard.num_bytes for shard in open_shards(models[name]))
        cells = []
        for part in ("prompt", "generated"):
            own, dense = (
                float(np.median([getattr(turn[each, runtime], part) for turn in turns]))
                for each in (name, "dense")
            )
            cells += [f"{own:.0f}", f"{own / dense:.2f}×"]
        yield name, f"{stored / 1e6:.0f}", runtime, *cells


def main(settings: Settings) -> None:
    """Prints the table."""
    with TemporaryDirectory() as temporary:
        sys.stdout.write(markdown_table([COLUMNS, *measure(settings, Path(temporary))]) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Settings))
