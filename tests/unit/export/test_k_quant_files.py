"""K-quants in one step: what is called with which words, and what is said where it is missing or fails."""

from pathlib import Path

import pytest

from hipp_prune.errors import InputError, RunError
from hipp_prune.export import k_quants
from hipp_prune.export.gguf import write_gguf
from hipp_prune.export.k_quants import type_of
from tests.tiny import tiny_llava

pytest.importorskip("gguf")


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a stand-in for llama-quantize in front of the PATH."""
    folder.mkdir()
    path = folder / "llama-quantize"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_program_is_given_sixteen_bits_and_the_types_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", monkeypatch, f'echo "$3" > {tmp_path}/word && cp "$1" "$2"')
    source, out = tiny_llava(tmp_path), tmp_path / "out" / "small.gguf"
    out.parent.mkdir()
    write_gguf(source, out, precision="q4_k_m")
    write_gguf(source, tmp_path / "full.gguf", precision="f16")
    assert (tmp_path / "word").read_text() == "Q4_K_M\n"
    assert out.read_bytes() == (tmp_path / "full.gguf").read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["small.gguf"]


def test_a_failure_says_what_the_program_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", monkeypatch, 'echo "no such type" >&2; exit 1')
    out = tmp_path / "out" / "small.gguf"
    out.parent.mkdir()
    with pytest.raises(RunError, match=r"llama-quantize failed .*: no such type; write --precision f16"):
        write_gguf(tiny_llava(tmp_path), out, precision="q6_k")
    assert not list(out.parent.iterdir())


def test_without_program_and_wheel_nothing_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(k_quants, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"q5_k_m needs llama-quantize.*xllamacpp.*--precision q8_0 or q4_0"):
        write_gguf(tmp_path / "nothing", tmp_path / "small.gguf", precision="q5_k_m")


def test_recipes_are_those_of_llama_quantize() -> None:
    """By hand: of 32 blocks the first and last four, and in between every third from the sixth, get more bits."""
    finer = [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    for part in ("attn_v", "ffn_down"):
        types = [
            type_of(f"blk.{i}.{part}.weight", "q4_k_m", row=256, blocks=32, tied=False) for i in range(32)
        ]
        assert [index for index, kind in enumerate(types) if kind == "Q6_K"] == finer
        assert set(types) == {"Q4_K", "Q6_K"}
    for name, tied, kind in (
        ("output.weight", False, "Q6_K"),
        ("token_embd.weight", False, "Q5_K"),
        ("token_embd.weight", True, "Q6_K"),
        ("blk.0.ffn_up.weight", False, "Q5_K"),
    ):
        assert type_of(name, "q5_k_m", row=512, blocks=2, tied=tied) == kind
    found = {
        (precision, row): type_of("blk.0.ffn_up.weight", precision, row=row, blocks=2, tied=False)
        for precision in ("q4_k_m", "q5_k_m", "q6_k")
        for row in (256, 288, 300)
    }
    assert found == {
        ("q4_k_m", 256): "Q4_K", ("q4_k_m", 288): "Q5_0", ("q4_k_m", 300): "F16",
        ("q5_k_m", 256): "Q5_K", ("q5_k_m", 288): "Q5_1", ("q5_k_m", 300): "F16",
        ("q6_k", 256): "Q6_K", ("q6_k", 288): "Q8_0", ("q6_k", 300): "F16",
    }  # fmt: skip


def test_four_bits_need_no_program(tmp_path: Path) -> None:
    source = tiny_llava(tmp_path, neurons=64)
    full, eight, four = (
        write_gguf(source, tmp_path / f"{precision}.gguf", precision=precision).num_bytes
        for precision in ("f16", "q8_0", "q4_0")
    )
    assert four < eight < full
