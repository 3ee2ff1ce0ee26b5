"""GGUF files: what llama.cpp computes from them, and what is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hipp_prune.checkpoints.heads import HeadPlan, write_heads
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import CheckpointError, InputError, OutputExistsError, UnsupportedModelError
from hipp_prune.export import gguf
from hipp_prune.export.gguf import write_gguf
from hipp_prune.files.manifest import accept_files
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from tests.tiny import tiny_llava, tiny_qwen2_5_vl, tiny_smolvlm
from tests.tolerance import assert_agree, assert_greedy
from tests.unit.checkpoints.tiny_plans import fit_somehow, make_plan
from tests.unit.export.llama_cpp import answer, logprobs, serve, without_end

PROMPT = "USER: Is there a red cup in the image? ASSISTANT:"
KEPT = (30, 21)


def pruned(tmp: Path, source: Path, kept: tuple[int, ...] = KEPT, **options: Any) -> Path:
    plan = make_plan(load_model(source), "coupled", kept)
    prune_checkpoint(source, plan, tmp / "pruned", **options)
    return tmp / "pruned"


def uneven(tmp: Path) -> Path:
    return pruned(tmp, tiny_llava(tmp))


def biased_and_tied(tmp: Path) -> Path:
    return pruned(tmp, tiny_llava(tmp, mlp_bias=True, tied=True))


def even(tmp: Path) -> Path:
    return pruned(tmp, tiny_llava(tmp), (24, 24))


def half_precision(tmp: Path) -> Path:
    return pruned(tmp, tiny_llava(tmp, dtype=torch.bfloat16, max_shard_size="40KB"))


def with_down_biases(tmp: Path) -> Path:
    """As FLAP leaves it."""
    biases = [torch.randn(32, generator=torch.Generator().manual_seed(block)) for block in range(2)]
    return pruned(tmp, tiny_llava(tmp), down_biases=biases)


def fitted_anew(tmp: Path) -> Path:
    """As ridge compensation leaves it."""
    source = tiny_llava(tmp)
    return pruned(tmp, source, down_weights=fit_somehow(make_plan(load_model(source), "coupled", KEPT)))


def without_heads(tmp: Path) -> Path:
    """As LLM-Pruner leaves it."""
    source = tiny_llava(tmp)
    adapter = load_model(source)
    neurons = make_plan(adapter, "coupled", KEPT)
    heads = (np.array([True, False, True, True]), np.array([False, True, True, False]))
    write_heads(
        source, adapter, HeadPlan(neurons=neurons, heads=heads, ledger=neurons.ledger), tmp / "pruned"
    )
    return tmp / "pruned"


def scaled_rotation(tmp: Path) -> Path:
    """With the RoPE of Llama 3.1."""
    source = tiny_llava(tmp)
    config = json.loads((source / "config.json").read_text())
    config["text_config"]["rope_parameters"] = {
        "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
    }  # fmt: skip
    (source / "config.json").write_text(json.dumps(config))
    return pruned(tmp, source)


VARIANTS = (
    uneven, biased_and_tied, even, half_precision, with_down_biases, fitted_anew, without_heads, scaled_rotation,
)  # fmt: skip


@pytest.mark.parametrize("build", VARIANTS)
def test_llama_cpp_answers_as_transformers_does(build: Callable[[Path], Path], tmp_path: Path) -> None:
    """Greedy tokens and the log-probabilities of the whole vocabulary, for text."""
    pytest.importorskip("gguf", reason="pip install gguf writes the files")
    pytest.importorskip("xllamacpp", reason="pip install xllamacpp brings llama.cpp")
    source = build(tmp_path)
    write_gguf(source, tmp_path / "model.gguf", precision="f32")
    adapter = load_model(source, dtype="float32")
    ids = adapter.processor.token_ids(PROMPT)
    server = serve(tmp_path / "model.gguf")
    for prompt in (ids, PROMPT):
        assert_same_answer(adapter, ids, *answer(server, prompt, vocabulary(adapter)))


def vocabulary(adapter: Adapter) -> int:
    size: int = adapter.model.config.text_config.vocab_size
    return size


def assert_same_answer(adapter: Adapter, ids: list[int], given: list[int], found: Tensor) -> None:
    """Asserts transformers' log-probabilities along the tokens that were given, and that these are the likeliest."""
    expected = logprobs(adapter, ids, given)
    assert_agree(found, expected)
    assert_greedy(given, without_end(adapter, expected))


TEXTS = (
    "The cat's tables, chairs and oranges are below; how many?",
    "unintended  spaces\nand a new line",
    "Überraschung: 12 pears → é",
    "imageimage answerings colouring",
)


SPECIAL = ("USER: a cup </s>USER: Is it?", "a<image>\nIs there a cup")


def legacy(tmp: Path) -> Path:
    """With a tokenizer in the older form, which LLaVA-1.5's is in: a space behind special tokens too."""
    source = uneven(tmp)
    content = json.loads((source / "tokenizer.json").read_text())
    steps = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    content |= {"normalizer": {"type": "Sequence", "normalizers": steps}, "pre_tokenizer": None}
    (source / "tokenizer.json").write_text(json.dumps(content))
    accept_files(source)
    return source


@pytest.mark.parametrize(("build", "texts"), [(uneven, TEXTS), (legacy, TEXTS + SPECIAL)])
def test_text_is_cut_into_the_tokenizers_pieces(
    build: Callable[[Path], Path], texts: tuple[str, ...], tmp_path: Path
) -> None:
    """Other pieces would be answered otherwise."""
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp")
    source = build(tmp_path)
    exported = write_gguf(source, tmp_path / "model.gguf")
    assert ("space behind a special token" in exported.summary) == (SPECIAL[0] not in texts)
    adapter, server = load_model(source), serve(tmp_path / "model.gguf")
    for text in texts:
        ids = adapter.processor.token_ids(text)
        assert_agree(*(answer(server, each, vocabulary(adapter))[1][0] for each in (text, ids)))


def test_a_quantised_file_is_smaller_and_close(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp")
    source = pruned(tmp_path, tiny_llava(tmp_path, neurons=96), (64, 32))
    sizes = {}
    for precision in ("f32", "f16", "bf16", "q8_0"):
        path = tmp_path / f"{precision}.gguf"
        sizes[precision] = write_gguf(source, path, precision=precision).num_bytes
        assert sizes[precision] == path.stat().st_size
        adapter = load_model(source)
        ids = adapter.processor.token_ids(PROMPT)
        given, found = answer(serve(path), ids, vocabulary(adapter))
        assert (found - logprobs(adapter, ids, given)).abs().max() < 0.2
    assert sizes["q8_0"] < sizes["f16"] == sizes["bf16"] < sizes["f32"]


def test_a_model_with_another_tokenizer_takes_token_ids(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp")
    source = pruned(tmp_path, tiny_smolvlm(tmp_path))
    with pytest.raises(UnsupportedModelError, match=r"cannot cut text .* --token-ids"):
        write_gguf(source, tmp_path / "model.gguf")
    exported = write_gguf(source, tmp_path / "model.gguf", token_ids=True)
    assert "give token ids as the prompt, never text" in exported.summary
    adapter = load_model(source)
    ids = adapter.processor.token_ids(PROMPT)
    assert_same_answer(adapter, ids, *answer(serve(tmp_path / "model.gguf"), ids, vocabulary(adapter)))


def test_the_file_says_widths_and_heads_of_each_block_where_they_differ(tmp_path: Path) -> None:
    package = pytest.importorskip("gguf")

    def facts(build: Callable[[Path], Path]) -> list[Any]:
        here = tmp_path / build.__name__
        here.mkdir()
        write_gguf(build(here), here / "model.gguf")
        reader = package.GGUFReader(here / "model.gguf")
        name = reader.fields["general.architecture"].contents()
        keys = ("feed_forward_length", "attention.head_count")
        return [name, *(reader.fields[f"{name}.{key}"].contents() for key in keys)]

    assert facts(even) == ["llama", 24, 4]
    assert facts(uneven) == ["deci", [30, 21], [4, 4]]
    assert facts(without_heads) == ["deci", [30, 21], [3, 2]]


@pytest.mark.parametrize("trained", [True, False])
def test_a_projector_that_recovery_trained_needs_an_mmproj_of_its_own(trained: bool, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    source = uneven(tmp_path)
    (source / "recovery.json").write_text(
        json.dumps({"settings": {"projector": trained}, "untied_parameters": 0})
    )
    summary = write_gguf(source, tmp_path / "model.gguf").summary
    assert ("mmproj file does not fit" in summary) == trained
    assert ("add the base model's mmproj file" in summary) != trained


# Refusals


def test_a_row_that_the_type_cannot_pack_names_the_alignment(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    source = uneven(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"packs 32 numbers .*blk\.0\.ffn_down.* rows of 30; .*--align 32"
    ):
        write_gguf(source, tmp_path / "model.gguf", precision="q8_0")
    assert not (tmp_path / "model.gguf").exists()
    assert "--align 256" in write_gguf(source, tmp_path / "model.gguf").summary


def test_a_qwen_backbone_is_refused_with_the_way_round(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    source = pruned(tmp_path, tiny_qwen2_5_vl(tmp_path))
    with pytest.raises(UnsupportedModelError, match=r"found qwen2_5_vl_text.*--format padded.*--uniform"):
        write_gguf(source, tmp_path / "model.gguf")
    (tmp_path / "even").mkdir()
    stock = pruned(tmp_path / "even", tmp_path / "qwen2_5_vl", (40, 40))
    with pytest.raises(UnsupportedModelError, match=r"convert it with llama.cpp's own"):
        write_gguf(stock, tmp_path / "model.gguf")


def test_a_sliced_model_is_refused(tmp_path: Path) -> None:
    adapter = load_model(tiny_llava(tmp_path))
    adapter.model.config.text_config.residual_width = 20
    with pytest.raises(UnsupportedModelError, match=r"SliceGPT.*transformers"):
        gguf.check_graph(adapter)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(InputError, match=r"pip install '\.\[gguf\]'"):
        write_gguf(tiny_llava(tmp_path), tmp_path / "model.gguf")


def test_a_file_is_not_replaced_unasked_nor_a_folder_ever(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    source, out = tiny_llava(tmp_path), tmp_path / "model.gguf"
    out.write_text("old")
    with pytest.raises(OutputExistsError, match="--force"):
        write_gguf(source, out)
    with pytest.raises(OutputExistsError, match="no regular file"):
        write_gguf(source, tmp_path, force=True)
    assert out.read_text() == "old"
    write_gguf(source, out, force=True)
    assert out.read_bytes()[:4] == b"GGUF"


def test_an_interrupted_export_leaves_the_old_file(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    out = tmp_path / "model.gguf"
    out.write_text("old")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    source = tiny_llava(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        write_gguf(source, out, force=True, progress=interrupt)
    assert out.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == before
