"""Export to quantised checkpoints through the command line: refusals here, the whole way where the packages are."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from hipp_prune.cli import main
from tests.e2e.conftest import Finished, Refused
from tests.tiny import tiny_llava

HERE = all(find_spec(name) for name in ("llmcompressor", "compressed_tensors"))


@pytest.mark.skipif(HERE, reason="llm-compressor is installed")
@pytest.mark.parametrize("format", ["gptq", "awq", "fp8"])
def test_a_missing_package_is_named_before_work(
    format: str, finished: Finished, tmp_path: Path, refused: Refused
) -> None:
    message = refused(["export", finished.checkpoint, "--format", format, "--out", tmp_path / "out"])
    assert "llmcompressor and compressed_tensors, which are not installed" in message
    assert ".[quantize]" in message


def test_settings_of_other_formats_are_refused(finished: Finished, tmp_path: Path, refused: Refused) -> None:
    asked = ["export", finished.checkpoint, "--out", tmp_path / "out", "--format"]
    assert "--group-size is about gptq, awq, not fp8" in refused([*asked, "fp8", "--group-size", "32"])
    assert "--questions is about gptq, awq, fp8, bnb4, not padded" in refused(
        [*asked, "padded", "--questions", "toyworld"]
    )


def test_an_alignment_that_the_blocks_are_too_narrow_for(
    finished: Finished, tmp_path: Path, refused: Refused
) -> None:
    message = refused(["query", finished.run, "--sparsity", "0.2", "--align-for", "marlin", "tp2"])
    assert "needs multiples of 256 neurons" in message
    assert "what can be had here is" in message
    plan = tmp_path / "plan.json"
    words = ["query", str(finished.run), "--preference", "1,1,1", "--align-for", "tp4", "--out", str(plan)]
    assert main(words) == 0
    assert all(kept % 4 == 0 for kept in json.loads(plan.read_text())["kept"])


@pytest.mark.skipif(not HERE, reason="llm-compressor is not here; run `make test-quantize`")
def test_gptq_is_asked_before_and_after_and_evaluated_again(
    finished: Finished, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tiny_llava(tmp_path, hidden=64, neurons=64), tmp_path / "small"
    words = ["export", str(source), "--format", "gptq", "--group-size", "32", "--out", str(out)]
    assert "add --questions" in refused(words)
    specs = finished.benchmarks.specs
    assert main([*words, "--questions", *specs, "--count", "8", "--limit", "20"]) == 0
    said = capsys.readouterr().out
    assert "POPE: " in said
    assert "after, of 20 questions" in said
    results = tmp_path / "results.json"
    asked = ["evaluate", "--model", str(out), "--questions", specs[0], "--limit", "20", "--card"]
    assert main([*asked, "--out", str(results)]) == 0
    assert "prune first, then quantise" in refused(
        ["calibrate", "--model", out, "--questions", specs[0], "--out", tmp_path / "run"]
    )
