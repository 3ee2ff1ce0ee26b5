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
    monkeypatch.setattr("hipp_prune.stages.evaluate.measure_speedups", lambda *_, **__: [1.0, 1.0, 1.0])
    run, asked = tmp_path / "demo", ["--questions", *benchmarks.specs, "--limit", "6"]
    words = [
        "quickstart",
        "--model",
        str(llava),
        "--out",
        str(run),
        "--sparsity",
        "0.3",
        "0.5",
        "--evaluations",
        "8",
    ]
    assert main([*words, *asked]) == 0
    header = next(line for line in capsys.readouterr().out.splitlines() if "dense" in line)
    assert header.split() == ["model", "dense", "30%", "pruned", "50%", "pruned", "uniform", "50%"]
    less, ours, uniform = (
        Scorecard.load(run / "results" / f"{name}.json") for name in ("s0.3", "s0.5", "uniform")
    )
    assert [card.compensation for card in (less, ours, uniform)] == ["sequential", "sequential", "none"]
    for card, removed in ((less, 0.3), (ours, 0.5), (uniform, 0.5)):
        assert card.ledger is not None
        assert card.ledger.mlp == pytest.approx(removed, abs=0.05)
    written = {path: path.stat().st_mtime_ns for path in run.glob("checkpoints/*/*.safetensors")}
    assert len(written) == 3
    capsys.readouterr()
    assert main([*words, *asked, "--json"]) == 0
    assert len(last_document(capsys.readouterr().out)["scorecards"]) == 4
    assert {path: path.stat().st_mtime_ns for path in written} == written
