"""What vLLM makes of quantised checkpoints with blocks of their own width: how far from transformers; Markdown.

Run: VLLM_PYTHON=build/vllm/bin/python PYTHONPATH=. build/quantize/bin/python benchmarks/vllm_quantised.py
(after `make test-vllm` and `make test-quantize`; ten minutes; or the rows that are named, e.g. `pruned gptq`)

A LLaVA with random weights (seed 0), hidden size 128, is pruned to blocks of 384 and 256 neurons and quantised in
groups of 128. Four questions about pictures, one token each. The divergence is that of vLLM's distribution from the one
that our loader computes of the same checkpoint, the largest of the four.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.export.compressor import compress
from hipp_prune.export.formats import QuantisedFormat
from hipp_prune.export.four_bits import pack
from hipp_prune.export.quantised import Quantised, write_quantised
from hipp_prune.files.markdown import markdown_table
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import probe
from tests.e2e.vllm_answers import PLUGINS, ask
from tests.tiny import tiny_image, tiny_llava
from tests.unit.checkpoints.tiny_plans import make_plan, stock_inputs

GROUP = 128
ASKED = (
    "Is there a red cup in the image?",
    "Is there a dog in the image?",
    "How many apples are there?",
    "Yes or no?",
)
DTYPES: dict[QuantisedFormat, str] = {
    "gptq": "bfloat16",
    "awq": "bfloat16",
    "fp8": "float32",
    "bnb4": "float32",
}
"""vLLM's kernel for 4 bits on a CPU knows no float32."""


def quantised(pruned: Path, format: QuantisedFormat) -> Path:
    """The checkpoint in fewer bits, beside it."""

    def fitted(adapter: Adapter) -> Quantised:
        if format == "bnb4":
            return pack(adapter)
        return compress(adapter, [] if format == "fp8" else [stock_inputs(adapter)], format, group_size=GROUP)

    write_quantised(pruned, pruned.with_name(format), format, fitted, group_size=GROUP)
    return pruned.with_name(format)


@torch.no_grad()
def expected(adapter: Adapter) -> Tensor:
    """Log-probabilities of the token behind each question, [questions, V]."""
    rows = []
    for index, prompt in enumerate(ASKED):
        picture = Path(str(index))
        features = {picture: adapter.encode_images([tiny_image(index)])[0]}
        rows.append(adapter.answer_logits(*adapter.encode([probe(prompt, picture)], features))[0])
    return torch.stack(rows).float().log_softmax(-1)


def rows(folder: Path, formats: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A format a row, and how vLLM takes it either way."""
    source = tiny_llava(folder, hidden=128, neurons=512)
    pruned = folder / "pruned"
    prune_checkpoint(source, make_plan(load_model(source), "coupled", (384, 256)), pruned)
    pictures = [folder / f"{index}.png" for index in range(len(ASKED))]
    for index, path in enumerate(pictures):
        tiny_image(index).save(path)
    for format in formats:
        dtype = DTYPES.get(format, "float32")  # type: ignore[call-overload]
        checkpoint = pruned if format == "pruned" else quantised(pruned, format)  # type: ignore[arg-type]
        adapter = load_model(checkpoint, quantised=True)
        told = expected(adapter)
        prompts = [
            (adapter.processor.render(asked, images=1), path)
            for asked, path in zip(ASKED, pictures, strict=True)
        ]
        yield (format, dtype, *(divergence(checkpoint, impl, prompts, told, dtype) for impl in PLUGINS))


def divergence(checkpoint: Path, impl: str, prompts: list[tuple[str, Path]], told: Tensor, dtype: str) -> str:
    """How far vLLM's distributions are from those that are told, in nat; or how it ends.

    Args:
        checkpoint: what is served.
        impl: of vLLM.
        prompts: rendered, each with its picture.
        told: log-probabilities, [questions, V].
        dtype: what vLLM computes in.
    """
    try:
        found = ask(os.environ["VLLM_PYTHON"], checkpoint, impl, prompts, tokens=1, dtype=dtype)
    except AssertionError as error:
        passed_on = ("EngineDead", "further information")
        said = [
            line
            for line in str(error).splitlines()
            if "rror" in line and not any(words in line for words in passed_on)
        ]
        last = said[-1].strip().partition(" [type=")[0] if said else "no error was printed"
        return f"refused: {last[:80]}"
    there = torch.from_numpy(found.logprobs[:, 0])
    return f"{float((told.exp() * (told - there)).sum(-1).max()):.1e}"


def main() -> None:
    """Prints the table; rows as they are found go to standard error."""
    with TemporaryDirectory() as folder:
        table = [("checkpoint", "computed in", *PLUGINS)]
        for row in rows(Path(folder), sys.argv[1:] or ["pruned", *DTYPES]):
            sys.stderr.write(f"{' | '.join(row)}\n")
            table.append(row)
    sys.stdout.write(markdown_table(table) + "\n")


if __name__ == "__main__":
    main()
