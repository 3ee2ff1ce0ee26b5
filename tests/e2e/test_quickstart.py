"""Quickstart at given sparsities: what is compensated stands beside what is pruned uniformly."""

from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.evaluation.scorecard import Scorecard
from tests.e2e.conftest import Benchmarks
from tests.e2e.documents import last_document


def test_quickstart_prunes_to_a_sparsity_beside_uniform_pruning(
    tmp_path: Path,
    llava: Path,
    benchmarks: Benchmarks,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("hipp_prune.stages.evaluate.measure_speedups", lambda *_, **__: [1.0, 1.0])
    run, asked = tmp_path / "demo", ["--questions", *benchmarks.specs, "--limit", "6"]
    words = [
        "quickstart",
        "--model",
        str(llava),
        "--out",
        str(run),
        "--sparsity",
        "0.5",
        "--evaluations",
        "8",
    ]
    assert main([*words, *asked]) == 0
    header = next(line for line in capsys.readouterr().out.splitlines() if "dense" in line)
    assert header.split() == ["model", "dense", "50%", "pruned", "uniform", "50%"]
    ours, uniform = (Scorecard.load(run / "results" / f"{name}.json") for name in ("s0.5", "uniform"))
    assert (ours.compensation, uniform.compensation) == ("sequential", "none")
    for each in (ours, uniform):
        assert each.ledger is not None
        assert each.ledger.mlp == pytest.approx(0.5, abs=0.05)
    written = {path: path.stat().st_mtime_ns for path in run.glob("checkpoints/*/*.safetensors")}
    assert len(written) == 2
    capsys.readouterr()
    assert main([*words, *asked, "--json"]) == 0
    assert len(last_document(capsys.readouterr().out)["scorecards"]) == 3
    assert {path: path.stat().st_mtime_ns for path in written} == written
