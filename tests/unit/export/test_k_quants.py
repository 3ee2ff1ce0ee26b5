"""K-quants of our files, run by llama.cpp and held against transformers with the same rounded weights."""

import shutil
from pathlib import Path

import pytest
import torch

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.export import gguf
from hipp_prune.export.formats import GgufPrecision
from hipp_prune.export.gguf import write_gguf
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from tests.tiny import tiny_llava
from tests.tolerance import assert_greedy
from tests.unit.checkpoints.tiny_plans import make_plan
from tests.unit.export.llama_cpp import answer, logprobs, serve, without_end

pytest.importorskip("xllamacpp", reason="pip install xllamacpp brings llama.cpp")
MAKERS = {
    "wheel": (),
    "program": pytest.mark.skipif(
        shutil.which("llama-quantize") is None,
        reason="llama-quantize, a program of llama.cpp, is not on the PATH",
    ),
}
"""Who makes them: ggml's functions in the wheel, or llama.cpp's own program."""
WIDTHS = {"aligned": (512, 256), "even": (256, 256), "odd": (500, 300)}
"""Of both blocks, and what they are to a K-quant, which packs 256 numbers."""


def round_weights(adapter: Adapter, file: Path) -> set[str]:
    """Gives a model the weights of a quantised file; returns the types of its tensors."""
    package = pytest.importorskip("gguf")
    stored = {tensor.name: tensor for tensor in package.GGUFReader(file).tensors}
    for part in gguf._parts(adapter):
        tensor = stored[part.name]
        weights = torch.from_numpy(package.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        if part.heads is not None:
            weights = weights.reshape(part.heads, -1, 2, *weights.shape[1:]).transpose(1, 2)
        part.tensor.data = weights.reshape(part.tensor.shape)
    return {tensor.tensor_type.name for tensor in stored.values()}


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("precision", ["q4_k_m", "q6_k"])
@pytest.mark.parametrize("maker", [pytest.param(name, marks=marks) for name, marks in MAKERS.items()])
def test_llama_cpp_answers_as_the_rounded_weights_do(
    maker: str, precision: GgufPrecision, widths: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Greedy tokens that are the likeliest; distributions differ by what llama.cpp rounds in its activations too."""
    if maker == "wheel":
        monkeypatch.setenv("PATH", str(tmp_path))
    source = tiny_llava(tmp_path, hidden=256, neurons=512)
    prune_checkpoint(source, make_plan(load_model(source), "coupled", WIDTHS[widths]), tmp_path / "pruned")
    small = tmp_path / "small.gguf"
    exported = write_gguf(tmp_path / "pruned", small, precision=precision)
    adapter = load_model(tmp_path / "pruned")
    types = round_weights(adapter, small)
    ids = adapter.processor.token_ids("USER: Is there a red cup in the image? ASSISTANT:")
    given, found = answer(serve(small), ids, adapter.model.config.text_config.vocab_size)
    expected = logprobs(adapter, ids, given)
    assert_greedy(given, without_end(adapter, expected), rounding=0.02)
    divergence = (expected.exp() * (expected - found)).sum(dim=1)
    assert divergence.max() < 2e-3
    assert all(name.endswith("_K") or name == "F32" for name in types) == (widths != "odd")
    assert ("--align 256" in exported.summary) == (widths == "odd")
