"""Baselines through the command line: each leaves a checkpoint that loads, is evaluated and says what it saved."""

import shutil
from pathlib import Path

import pytest

from hipp_prune import api
from hipp_prune.baselines.methods import BASELINES
from hipp_prune.checkpoints.ledger import read_savings
from hipp_prune.cli import main
from hipp_prune.files.run_directory import RunDirectory
from tests.e2e.conftest import Benchmarks, Refused


@pytest.fixture(scope="module", params=["llava", "qwen"])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, benchmarks: Benchmarks
) -> Path:
    """A calibrated run of a tiny model."""
    root = tmp_path_factory.mktemp("baselines") / "run"
    model = request.getfixturevalue(request.param)
    questions = ("--questions", *benchmarks.specs)
    assert main(["calibrate", "--model", str(model), *questions, "--out", str(root), "--count", "12"]) == 0
    return root


def baseline(*arguments: object) -> list[str]:
    return ["baseline", "--sparsity", "0.25", *map(str, arguments)]


@pytest.mark.parametrize("told", [*BASELINES, "llm-pruner --attention --match block"])
def test_the_checkpoint_is_evaluated_like_any_other(
    run: Path, benchmarks: Benchmarks, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method, *options = told.split()
    out, results = tmp_path / method, tmp_path / "results.json"
    assert main(baseline("--run", run, "--method", method, *options, "--out", out)) == 0
    printed = capsys.readouterr()
    assert f"hipp-prune evaluate --model {out}" in printed.err.replace("\n", "")
    savings = read_savings(out)
    assert savings is not None
    assert savings.notes["method"] == method
    assert f"{savings.ledger.mlp:.2%} of MLP parameters" in printed.out
    assert ("biases of the down projections" in printed.out) == (method == "flap")
    assert ("residual stream: 32 → 16 coordinates" in printed.out) == (method == "slicegpt")
    assert ("key/value heads" in printed.out) == ("--attention" in options)
    evaluate = [
        "evaluate",
        "--model",
        str(out),
        "--questions",
        *benchmarks.specs,
        "--limit",
        "6",
        "--out",
        str(results),
    ]
    assert main(evaluate) == 0
    assert f"{savings.ledger.mlp:.2%} of MLP parameters" in capsys.readouterr().out


def test_the_sample_of_a_run_is_the_one_drawn_without_a_run(
    run: Path, benchmarks: Benchmarks, tmp_path: Path
) -> None:
    model = RunDirectory(run).provenance().model
    told = ("--model", model, "--questions", *benchmarks.specs, "--count", 12)
    assert main(baseline("--run", run, "--method", "ecoflap", "--out", tmp_path / "shared")) == 0
    assert main(baseline(*told, "--method", "ecoflap", "--out", tmp_path / "own")) == 0
    shared, own = (api.checkpoint_plan(str(tmp_path / name)) for name in ("shared", "own"))
    assert shared == own


class TestBadInput:
    def test_neither_a_run_nor_a_model(self, tmp_path: Path, refused: Refused) -> None:
        assert "--run RUN, or --model" in refused(baseline("--method", "uniform", "--out", tmp_path / "out"))

    def test_no_questions(self, llava: Path, tmp_path: Path, refused: Refused) -> None:
        message = refused(baseline("--model", llava, "--method", "uniform", "--out", tmp_path / "out"))
        assert "--questions SPEC" in message

    def test_a_run_and_a_model(self, run: Path, tmp_path: Path, refused: Refused) -> None:
        told = ("--run", run, "--model", "toy-llava", "--method", "uniform")
        assert "either --run, or --model" in refused(baseline(*told, "--out", tmp_path / "out"))

    def test_a_run_that_was_not_calibrated(self, run: Path, tmp_path: Path, refused: Refused) -> None:
        other = shutil.copytree(run, tmp_path / "other")
        (other / "calibration.safetensors").unlink()
        message = refused(baseline("--run", other, "--method", "uniform", "--out", tmp_path / "out"))
        assert "hipp-prune calibrate" in message

    def test_no_calibration_question(
        self, llava: Path, benchmarks: Benchmarks, tmp_path: Path, refused: Refused
    ) -> None:
        told = ("--model", llava, "--questions", benchmarks.specs[0], "--count", 0, "--method", "uniform")
        assert "--count to be at least 1" in refused(baseline(*told, "--out", tmp_path / "out"))

    @pytest.mark.parametrize(("method", "said"), [("uniform", "r_max"), ("llm-pruner", "blocks whole")])
    def test_more_than_the_method_can_remove(
        self, run: Path, tmp_path: Path, refused: Refused, method: str, said: str
    ) -> None:
        sparsity = "0.95" if method == "uniform" else "0.5"
        told = (
            "baseline",
            "--run",
            run,
            "--method",
            method,
            "--sparsity",
            sparsity,
            "--out",
            tmp_path / "out",
        )
        assert said in refused(told)
        assert not (tmp_path / "out").exists()

    def test_an_output_that_exists(self, run: Path, tmp_path: Path, refused: Refused) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "precious").write_text("mine")
        assert "--force" in refused(baseline("--run", run, "--method", "uniform", "--out", out))
        assert (out / "precious").read_text() == "mine"
