"""How fast ONNX Runtime answers where torch does, dense and pruned, as ratios measured in one run on one machine.

Run: python benchmarks/runtimes.py              (two small models, about four minutes on one core)
     python benchmarks/runtimes.py --shapes small-llava --rounds 3

The models have random weights and the proportions of public ones. Both run in float32 on as many threads. Timed are the
vision tower with its projector, the language model on a prompt with one picture, and one more token behind that prompt;
torch and ONNX Runtime take turns, medians over rounds.
"""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import tyro
from PIL import Image
from shapes import SHAPES, ShapeName, build
from workload import race

from hipp_prune import api
from hipp_prune.export.onnx_generate import OnnxModel, expand
from hipp_prune.export.onnx_graphs import Decoder
from hipp_prune.files.writing import write_text
from hipp_prune.models import load_model

Ways = dict[str, Callable[[], object]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the script may be told."""

    shapes: tuple[ShapeName, ...] = ("small-llava", "small-qwen")
    """Public configurations, or small ones in their proportions."""
    sparsities: tuple[float, ...] = (0.225, 0.5)
    """Of the pruned models' MLP neurons, by ratios drawn at random: blocks of uneven width."""
    rounds: int = 7
    out: Path | None = None
    """Markdown file to write."""


def ways(checkpoint: Path, graphs: Path) -> Ways:
    """The three parts of an answer, each in torch and in ONNX Runtime, on the same numbers."""
    adapter = load_model(checkpoint, dtype="float32")
    exported = OnnxModel(graphs, threads=torch.get_num_threads())
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))
    tensors = adapter.processor.pixels([picture])
    pixels = {name: value.numpy() for name, value in tensors.items()}
    features = exported.look(pixels)
    text = adapter.processor.render("Is there a red cup in the image?", images=1)
    prompt = expand(adapter.processor.token_ids(text), exported.image_token, len(features))
    embedded = exported.embed.run(None, {"input_ids": prompt[None]})[0]
    embedded[0, prompt == exported.image_token] = features
    positions = exported.positions(prompt, pixels.get("image_grid_thw"))
    nothing = exported.nothing()
    _, past = exported.step(embedded, positions, nothing)
    following = positions[..., -1:] + 1
    decoder = Decoder(adapter.model)

    @torch.inference_mode()
    def decode(states: np.ndarray, where: np.ndarray, cache: list[np.ndarray]) -> None:
        seen = torch.ones(1, cache[0].shape[2] + states.shape[1], dtype=torch.long)
        decoder(
            torch.from_numpy(states),
            seen,
            torch.from_numpy(where),
            [torch.from_numpy(part) for part in cache],
        )

    def encode() -> None:
        with torch.inference_mode():
            inputs = {
                name: value for name, value in tensors.items() if name in ("pixel_values", "image_grid_thw")
            }
            adapter.model.base_model.get_image_features(**inputs)

    return {
        "vision, torch": encode,
        "vision, onnx": lambda: exported.look(pixels),
        f"prompt of {len(prompt)}, torch": lambda: decode(embedded, positions, nothing),
        f"prompt of {len(prompt)}, onnx": lambda: exported.step(embedded, positions, nothing),
        "next token, torch": lambda: decode(embedded[:, -1:], following, past),
        "next token, onnx": lambda: exported.step(embedded[:, -1:], following, past),
    }


def measure(settings: Settings, name: ShapeName, root: Path) -> Iterator[str]:
    """Table rows of one model, dense and pruned."""
    build(SHAPES[name], root / name, device="cpu", dtype="float32")
    models = {"dense": root / name}
    for sparsity in settings.sparsities:
        models[f"{sparsity:.1%}"] = root / f"{name}-{sparsity}"
        api.baseline(
            "random",
            sparsity,
            models[f"{sparsity:.1%}"],
            model=str(root / name),
            questions=["toyworld"],
            count=4,
        )
    timed: Ways = {}
    sizes = {}
    for label, checkpoint in models.items():
        exported = api.export(str(checkpoint), "onnx", root / f"{checkpoint.name}-onnx")
        sizes[label] = exported.num_bytes
        timed |= {f"{label}: {way}": run for way, run in ways(checkpoint, exported.path).items()}
    seconds = race(timed, settings.rounds)
    for key in [key.removesuffix(", torch") for key in seconds if key.endswith("torch")]:
        label, part = key.split(": ")
        slow, fast = seconds[f"{key}, torch"], seconds[f"{key}, onnx"]
        share = fast / seconds[f"dense: {part}, onnx"]
        yield (
            f"| {label} | {sizes[label] / 1e6:.1f} MB | {part} | {1000 * slow:.2f} ms | {1000 * fast:.2f} ms | "
            f"{slow / fast:.2f}× | {share:.2f} |"
        )


def main(settings: Settings) -> None:
    """Prints a table a model, and writes the page."""
    command = " ".join(["python benchmarks/runtimes.py", *sys.argv[1:]])
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "onnxruntime"))
    lines = [
        "# ONNX Runtime against torch\n",
        f"Written by `{command}` ({platform.machine()}, {torch.get_num_threads()} threads, load "
        f"{os.getloadavg()[0]:.1f} at the start, float32; {versions}; {date.today()}).\n",
    ]
    with TemporaryDirectory() as temporary:
        for name in settings.shapes:
            lines += [
                f"## {name}\n",
                "| model | graphs | part | torch | ONNX Runtime | faster | of the dense graph's time |",
                "|---|---|---|---|---|---|---|",
                *measure(settings, name, Path(temporary)),
                "",
            ]
    text = "\n".join(lines)
    sys.stdout.write(text)
    if settings.out:
        write_text(settings.out, text)


if __name__ == "__main__":
    main(tyro.cli(Settings))
