"""Quantised checkpoints: what fits, what stays as it was, and what a fresh process of transformers computes of them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import CheckpointError, InputError, OutputExistsError
from hipp_prune.export.compressor import _smoothed, compress
from hipp_prune.export.formats import QuantisedFormat
from hipp_prune.export.four_bits import pack
from hipp_prune.export.quantised import Quantised, check_matrices, write_quantised
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter, Batch, ImageFeatures
from hipp_prune.models.stock import own_inputs
from hipp_prune.models.structure import is_packed
from hipp_prune.questions.question import probe
from hipp_prune.stages.quantise import PACKAGES
from tests.tiny import FAMILIES, tiny_image, tiny_llava, tiny_qwen2_5_vl
from tests.unit.checkpoints.tiny_plans import logits, make_plan, stock_inputs

GROUP = 32
FRESH = """
import sys, torch, transformers
from safetensors.torch import load_file, save_file
sys.modules["hipp_prune"] = None
model = transformers.AutoModelForImageTextToText.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
with torch.no_grad():
    save_file({"logits": model(**load_file(sys.argv[2])).logits.float()}, sys.argv[3])
"""


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{' and '.join(missing)} not here; run `make test-quantize`"
    )


def tiny_phi3(tmp: Path, **options: Any) -> Path:
    """Queries, keys and values are one matrix, gates and ups another."""
    return tiny_llava(tmp, backbone="phi3", **options)


CASES = [
    pytest.param(family, format, marks=needs(*packages), id=f"{family.__name__}-{format}")
    for family in (tiny_llava, tiny_qwen2_5_vl, tiny_phi3)
    for format, packages in PACKAGES.items()
    if format != "bnb4" or family is not tiny_qwen2_5_vl
]
"""The small Qwen's matrices have 32 columns, and bnb4 needs 64."""


def quantiser(format: QuantisedFormat) -> Callable[[Adapter], Quantised]:
    if format == "bnb4":
        return pack

    def fitted(adapter: Adapter) -> Quantised:
        rows = [] if format == "fp8" else [stock_inputs(adapter)]
        return compress(adapter, rows, format, group_size=GROUP)

    return fitted


@pytest.mark.parametrize(("family", "format"), CASES)
def test_transformers_alone_computes_what_we_do(
    family: Callable[..., Path], format: QuantisedFormat, tmp_path: Path
) -> None:
    """Of blocks of 128 and 64 neurons."""
    source = family(tmp_path, hidden=32 if family is tiny_qwen2_5_vl else 64, neurons=128)
    pruned, small = tmp_path / "pruned", tmp_path / "small"
    prune_checkpoint(source, make_plan(load_model(source), "coupled", (128, 64)), pruned)
    dense = load_model(pruned)
    inputs, told = stock_inputs(dense), tmp_path / "inputs"
    expected = logits(dense.model, inputs)
    exported = write_quantised(pruned, small, format, quantiser(format), group_size=GROUP)
    assert exported.num_bytes < exported.bytes_before
    save_file(inputs, told)
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-c", FRESH, str(small), str(told), str(tmp_path / "result")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = load_file(tmp_path / "result")["logits"]
    again = load_model(small, quantised=True)
    held = [getattr(block.mlp, "gate_up_proj", block.gate) for block in again.blocks]
    assert all(map(is_packed, (*held, again.blocks[1].down))) == (format != "fp8")
    assert again.shape.neurons == (128, 64)
    torch.testing.assert_close(found, logits(again.model, inputs).float(), rtol=0, atol=1e-5)
    distance = (found - expected).norm() / expected.norm()
    assert 0 < distance < 0.5  # a model of other weights is further than 1 away
    assert_only_blocks_changed(pruned, small, smoothed=format == "awq")
    assert json.loads((small / "quantisation.json").read_text())["format"] == format


@pytest.mark.parametrize(
    ("family", "format"),
    [
        pytest.param(family, format, marks=needs("llmcompressor", "compressed_tensors"), id=f"{family}-{format}")
        for family, formats in {
            "aya_vision": ("gptq", "awq"), "gemma3": ("awq",), "gemma4": ("gptq", "awq", "fp8"), "qwen3_5": ("awq",),
            "llava_next": ("gptq", "fp8"), "minicpmv4_6": ("awq",),
            "glm4v": ("gptq", "awq", "fp8"), "llava-phi3": ("awq",),
        }.items()
        for format in formats
    ],
)  # fmt: skip
def test_blocks_of_other_kinds_are_quantised_too(
    family: str, format: QuantisedFormat, tmp_path: Path
) -> None:
    """One norm for attention and MLP, norms behind attention, linear attention, small matrices beside both; a tensor of
    the whole model's own, queries with gates.
    """
    source, picture = FAMILIES[family](tmp_path), Path("picture")
    prune_checkpoint(source, make_plan(load_model(source), "coupled", (40, 32)), tmp_path / "pruned")

    def encoded(adapter: Adapter) -> tuple[Batch, list[ImageFeatures]]:
        features = {picture: adapter.encode_images([tiny_image()])[0]}
        return adapter.encode([probe("Is there a red cup in the image?", picture)], features)

    def fitted(adapter: Adapter) -> Quantised:
        rows = [] if format == "fp8" else [own_inputs(adapter, encoded(adapter)[0], [tiny_image()])]
        return compress(adapter, rows, format, group_size=8)

    write_quantised(tmp_path / "pruned", tmp_path / "small", format, fitted, group_size=8)
    dense, small = load_model(tmp_path / "pruned"), load_model(tmp_path / "small", quantised=True)
    with torch.no_grad():
        expected, found = (each.answer_logits(*encoded(each)) for each in (dense, small))
    assert 0 < (found - expected).norm() / expected.norm() < 0.4


@pytest.mark.parametrize(
    ("family", "norms"),
    [
        ("aya_vision", {"input_layernorm": 5}),
        ("gemma3", {"input_layernorm": 3, "pre_feedforward_layernorm": 2}),
        ("llava", {"input_layernorm": 3, "post_attention_layernorm": 2}),
    ],
)
def test_what_is_smoothed_is_made_up_for_by_all_that_reads_it(
    family: str, norms: dict[str, int], tmp_path: Path
) -> None:
    smoothed = [
        (name.removesuffix("$"), read) for name, read in _smoothed(load_model(FAMILIES[family](tmp_path)))
    ]
    found = [(name.rpartition(".")[2], len(read)) for name, read in smoothed if name.endswith("norm")]
    assert found == 2 * list(norms.items())


def test_linear_attention_has_no_norm_of_queries_to_smooth(tmp_path: Path) -> None:
    smoothed = [name for name, _ in _smoothed(load_model(FAMILIES["qwen3_5"](tmp_path)))]
    assert sum("input_layernorm" in name for name in smoothed) == 1
    assert sum("post_attention_layernorm" in name for name in smoothed) == 2


def assert_only_blocks_changed(pruned: Path, small: Path, *, smoothed: bool) -> None:
    """All matrices of the blocks are others, and where they were smoothed norms may be; the rest is as it was."""
    before, after = (load_file(folder / "model.safetensors") for folder in (pruned, small))
    language = [name for name in before if re.search(r"(?<!vision_model\.encoder\.)layers\.", name)]
    matrices = {name for name in language if name.endswith("_proj.weight")}
    norms = {name for name in language if "norm" in name}
    assert len(matrices) == (8 if any("qkv_proj" in name for name in matrices) else 14)
    changed = {name for name in before if name not in after or after[name].dtype != before[name].dtype}
    changed |= {name for name in before.keys() - changed if not torch.equal(after[name], before[name])}
    assert matrices <= changed <= (matrices | norms if smoothed else matrices)
    for name in ("plan.json", "modeling_hipp_prune.py"):
        assert (small / name).read_bytes() == (pruned / name).read_bytes()


@needs("bitsandbytes")
def test_a_check_that_fails_leaves_nothing(tmp_path: Path) -> None:
    source, out = tiny_llava(tmp_path, hidden=64, neurons=64), tmp_path / "small"

    def refuse(folder: Path) -> None:
        assert (folder / "config.json").is_file()
        raise CheckpointError("no")

    with pytest.raises(CheckpointError, match="no"):
        write_quantised(source, out, "bnb4", pack, group_size=1, check=refuse)
    assert not out.exists()


def unwanted(_: Adapter) -> Quantised:
    raise AssertionError("the work began")


@pytest.mark.parametrize(
    ("format", "group_size", "widths", "words"),
    [
        ("gptq", 128, (128, 64), r"multiples of 128 columns, .*0\..*q_proj has 64 × 64; give a smaller --group-size$"),
        ("gptq", 32, (128, 60), r"multiples of 32 columns, .*layers\.1\.mlp\.down_proj has 64 × 60; .*--align 32"),
        ("awq", 8, (128, 60), r"any number of rows and multiples of 8 columns, .*down_proj has 64 × 60; .*--align 8"),
        ("bnb4", 128, (128, 96), r"multiples of 64 columns, .*layers\.1\.mlp\.down_proj.*--align-for bnb4$"),
    ],
)  # fmt: skip
def test_widths_that_do_not_fit_are_refused_before_work(
    format: QuantisedFormat, group_size: int, widths: tuple[int, int], words: str, tmp_path: Path
) -> None:
    source = tiny_llava(tmp_path, hidden=64, neurons=128)
    prune_checkpoint(source, make_plan(load_model(source), "coupled", widths), tmp_path / "pruned")
    with pytest.raises(CheckpointError, match=words):
        write_quantised(tmp_path / "pruned", tmp_path / "out", format, unwanted, group_size=group_size)
    assert not (tmp_path / "out").exists()


def test_any_width_is_eight_bits_wide(tmp_path: Path) -> None:
    check_matrices(load_model(tiny_llava(tmp_path, neurons=37)), "fp8", 128)


def test_a_folder_is_not_replaced_unasked(tmp_path: Path) -> None:
    source = tiny_llava(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        write_quantised(source, tmp_path / "out", "fp8", unwanted, group_size=1)


@pytest.mark.parametrize("method", ["compressed-tensors", "bitsandbytes"])
def test_a_quantised_checkpoint_is_asked_and_not_pruned(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny_llava(tmp_path)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": method}})
    )
    with pytest.raises(CheckpointError, match="prune first, then quantise"):
        load_model(source)
    monkeypatch.setattr("hipp_prune.files.packages.find_spec", lambda _: None)
    package = method.replace("-", "_")
    with pytest.raises(InputError, match=rf"quantised as {method}, needs {package}.*\.\[quantize\]"):
        load_model(source, quantised=True)


def test_a_packed_matrix_counts_what_it_stands_for() -> None:
    linear = nn.Linear(8, 4, bias=False)
    assert not is_packed(linear)
    linear.weight = nn.Parameter(torch.zeros(16, 1, dtype=torch.uint8), requires_grad=False)
    assert is_packed(linear)
    del linear.weight
    assert is_packed(linear)
