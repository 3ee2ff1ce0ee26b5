"""``models --check``: one model, tried from the command line."""

import json
from pathlib import Path

import pytest

from hipp_prune.cli.entry import main
from tests.tiny import tiny_llava


def test_a_model_that_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--check", "toy-llava"]) == 0
    said = capsys.readouterr().out
    assert "16 tokens" in said
    assert "toy-llava can be pruned" in said


def test_a_model_that_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_llava(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "quantization_config": {"quant_method": "gptq"}})
    )
    assert main(["models", "--check", str(folder)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("hipp-prune: ")
    assert "prune first, then quantise" in said
    assert "\n" not in said


def test_the_list_says_how_to_try_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "models --check MODEL" in " ".join(capsys.readouterr().out.split())
