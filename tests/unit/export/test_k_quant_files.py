"""K-quants in one step: what is called with which words, and what is said where it is missing or fails."""

from pathlib import Path

import pytest

from hipp_prune.errors import InputError, RunError
from hipp_prune.export.gguf import write_gguf
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


def test_without_the_program_nothing_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"q5_k_m needs llama-quantize.*--precision q8_0 or q4_0"):
        write_gguf(tmp_path / "nothing", tmp_path / "small.gguf", precision="q5_k_m")


def test_four_bits_need_no_program(tmp_path: Path) -> None:
    source = tiny_llava(tmp_path, neurons=64)
    full, eight, four = (
        write_gguf(source, tmp_path / f"{precision}.gguf", precision=precision).num_bytes
        for precision in ("f16", "q8_0", "q4_0")
    )
    assert four < eight < full
