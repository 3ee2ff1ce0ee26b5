"""A pruned LLaVA in llama.cpp: how far from transformers, how large, how fast; Markdown on standard output.

Run: python benchmarks/llama_cpp.py    (a minute; needs `pip install gguf xllamacpp`)

Prompts are token ids, since only the language model runs here. All ways take turns in one process on one thread; the
fastest of the rounds counts. Rows for 7B are arithmetic: nothing of that size is run.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import xllamacpp
from shapes import SHAPES, build
from workload import clock

from hipp_prune import api
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.files.markdown import markdown_table
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.plan import Plan, pack_masks
from hipp_prune.plans.space import ModelShape, PlanSpace

Row = tuple[str, ...]
SPARSITIES = (0.225, 0.5)
TOKENS = 256
GENERATED = 32
ROUNDS = 8
BITS = {"f16": 16.0, "q8_0": 8.5, "q4_K": 4.5}
"""Of a weight, scales included."""
COLUMNS = (
    "model", "neurons removed", "log-prob. difference", "checkpoint, MB", "GGUF f32, MB",
    "prompt, of dense", "generated token, of dense", "prompt by torch, of dense", "prompt, of torch",
)  # fmt: skip


def uneven_plan(shape: ModelShape, sparsity: float, align: int) -> Plan:
    """Every other block loses half as much again, the others half as much; which neurons does not matter here."""
    space = PlanSpace(shape=shape, r_max=0.9)
    factors = np.where(np.arange(shape.num_blocks) % 2, 1.5, 0.5)
    kept = space.kept(sparsity * factors[None], align=align)[0]
    masks = [np.arange(width) < count for width, count in zip(shape.neurons, kept, strict=True)]
    counts = tuple(int(count) for count in kept)
    return Plan(
        shape=shape, unit="coupled", kept=counts, masks=pack_masks(masks), ledger=space.ledger(kept), importance="none"
    )  # fmt: skip


def serve(path: Path, *, exact: bool) -> Any:
    """A server in this process on one thread; exact: its cache is in 32 bits, else everything as llama.cpp likes it."""
    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx, settings.n_parallel, settings.n_gpu_layers, settings.port = 2 * TOKENS, 1, 0, 0
    settings.n_batch = settings.n_ubatch = TOKENS
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.verbosity = 0
    if exact:
        settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(settings)


def complete(server: Any, ids: Sequence[int], *, tokens: int = 1, top: int = 1) -> Any:
    """What llama.cpp says next, and how long it took."""
    request = {
        "prompt": list(ids),
        "n_predict": tokens,
        "temperature": 0.0,
        "n_probs": top,
        "ignore_eos": True,
    }
    return server.handle_completions({**request, "cache_prompt": False})


def difference(server: Any, adapter: Adapter, ids: Sequence[int]) -> float:
    """Largest difference of a log-probability of the next token, over the whole vocabulary."""
    with torch.inference_mode():
        logits = adapter.model(input_ids=torch.tensor([list(ids)])).logits[0, -1].float()
    expected = torch.log_softmax(logits, dim=0)
    found = complete(server, ids, top=len(expected))["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return max(abs(each["logprob"] - float(expected[each["id"]])) for each in found)


def forward(adapter: Adapter, ids: Sequence[int]) -> None:
    """The same work by transformers."""
    with torch.inference_mode():
        adapter.model(input_ids=torch.tensor([list(ids)]), logits_to_keep=1)


def measure(name: str, source: Path, folder: Path, *, align: int, rounds: int) -> Iterator[Row]:
    """A row for the dense model and each sparsity; without rounds nothing is timed."""
    checkpoints = {"dense": source}
    shape = load_model(source).shape
    for sparsity in SPARSITIES:
        checkpoints[f"{sparsity:.1%}"] = folder / f"{name}-{sparsity}"
        api.prune(str(source), uneven_plan(shape, sparsity, align), folder / f"{name}-{sparsity}")
    ids = np.random.default_rng(0).integers(5, 300, TOKENS - 1).tolist()
    files = {key: folder / f"{name}-{key}.gguf" for key in checkpoints}
    for key, checkpoint in checkpoints.items():
        api.export(str(checkpoint), "gguf", files[key], api.ExportSettings(token_ids=True, precision="f32"))
    adapters = {key: load_model(path) for key, path in checkpoints.items()}
    differences = {
        key: difference(serve(path, exact=True), adapters[key], ids) for key, path in files.items()
    }
    servers = {key: serve(path, exact=False) for key, path in files.items()}
    fastest: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for key in checkpoints:
            timings = complete(servers[key], ids, tokens=GENERATED)["timings"]
            taken = {"prompt": timings["prompt_ms"], "token": timings["predicted_ms"]}
            taken["torch"] = 1000 * clock(partial(forward, adapters[key], ids))
            for way, milliseconds in taken.items():
                fastest[key, way] = min(fastest.get((key, way), np.inf), milliseconds)
    for key, checkpoint in checkpoints.items():
        stored = sum(shard.num_bytes for shard in open_shards(checkpoint))
        ratios = [(key, way, "dense", way) for way in ("prompt", "token", "torch")]
        ratios += [(key, "prompt", key, "torch")]
        yield (
            name,
            key,
            f"{differences[key]:.1e}",
            f"{stored / 1e6:.2f}",
            f"{files[key].stat().st_size / 1e6:.2f}",
            *(f"{fastest[a, b] / fastest[c, d]:.2f}" if fastest else "–" for a, b, c, d in ratios),
        )


def predict() -> Iterator[Row]:
    """What the language model of LLaVA-1.5-7B comes to, by arithmetic."""
    shape = SHAPES["llava-1.5-7b"]
    mlp = 3 * shape.blocks * shape.hidden * shape.neurons
    attention = 4 * shape.blocks * shape.hidden**2
    ends = 2 * shape.vocabulary * shape.hidden
    for sparsity in (0.0, *SPARSITIES):
        weights = ends + attention + (1 - sparsity) * mlp
        work = (attention + (1 - sparsity) * mlp) / (attention + mlp)
        sizes = (f"{weights * bits / 8 / 1e9:.2f}" for bits in BITS.values())
        yield (f"{sparsity:.1%}" if sparsity else "dense", *sizes, f"{work:.3f}")


def main() -> None:
    """Prints both tables."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build(SHAPES["wide-llava"], folder / "wide", device="cpu", dtype="float32")
        measured = [
            *measure("toy-llava", local_folder("toy-llava"), folder, align=1, rounds=0),
            *measure("wide-llava", folder / "wide", folder, align=64, rounds=ROUNDS),
        ]
    predicted = [("LLaVA-1.5-7B", *(f"{kind}, GB" for kind in BITS), "work a prompt token"), *predict()]
    print(markdown_table([COLUMNS, *measured]), markdown_table(predicted), sep="\n\n")  # noqa: T201


if __name__ == "__main__":
    main()
