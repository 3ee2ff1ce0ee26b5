"""Compression measured in FLOPs and in seconds, and constraint queries, through the command line on a shipped model."""

import json
import re
import shutil
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.plans.plan import Plan
from hipp_prune.search.record import read_record
from tests.e2e.conftest import Benchmarks, Refused

SEARCH = ("--evaluations", "36", "--minibatch", "12", "--method", "surrogate")


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory, benchmarks: Benchmarks) -> Path:
    root = tmp_path_factory.mktemp("costs") / "run"
    questions = ("--questions", *benchmarks.specs)
    assert main(["calibrate", "--model", "toy-llava", *questions, "--out", str(root), "--count", "12"]) == 0
    return root


@pytest.fixture
def run(tmp_path: Path, calibrated: Path) -> Path:
    """A calibrated run of toy-llava."""
    return shutil.copytree(calibrated, tmp_path / "run")


def query(run: Path, out: Path, *arguments: str) -> Plan:
    assert main(["query", str(run), *arguments, "--out", str(out)]) == 0
    return Plan.load(out)


def attainable(message: str) -> float:
    match = re.search(r"must lie in \[0, ([\d.e-]+)\]", message)
    assert match is not None
    return float(match[1])


def archived(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "search" / "archive.jsonl").read_text().splitlines()]


def test_a_search_is_complete_only_once_its_forecast_is_there(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr("hipp_prune.stages.search.fit_forecast", killed)
        with pytest.raises(SystemExit):
            main(["search", str(run), *SEARCH])
    folder = RunDirectory(run).search
    assert not read_record(folder.record).complete
    assert main(["search", str(run), *SEARCH]) == 0
    assert read_record(folder.record).complete
    assert folder.forecast.is_file()


class TestCosts:
    def test_flops(
        self, run: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
    ) -> None:
        search = ("search", str(run), "--compression", "flops", *SEARCH)
        most = attainable(refused(search))
        assert not (
            run / "search"
        ).exists()  # a refused search leaves nothing that the next one would trip over
        budget = ("--s-min", "0", "--s-max", f"{0.9 * most:.4f}")
        assert main([*search, *budget]) == 0
        assert all(0 <= entry["sparsity"] <= 0.91 * most for entry in archived(run))
        plan = query(run, tmp_path / "plan.json", "--preference", "1,1,1", "--sparsity", f"{most / 2:.4f}")
        assert plan.ledger.flops == pytest.approx(most / 2, abs=1e-3)
        assert plan.ledger.mlp > 2 * plan.ledger.flops  # attention and head stay
        assert plan.ledger.latency is None
        printed = capsys.readouterr().out
        assert f"{plan.ledger.flops:.2%} of FLOPs" in printed
        assert "compression: searched and asked for in flops" in printed
        refused(("query", run, "--preference", "1,1,1", "--sparsity", 1.1 * most))

    def test_requirements(self, run: Path, tmp_path: Path, refused: Refused) -> None:
        assert main(["search", str(run), *SEARCH]) == 0
        out = tmp_path / "plan.json"
        plan = query(run, out, "--require", "pope=0.01", "--require", "sparsity=0.3")
        assert plan.ledger.mlp >= 0.3
        assert plan.notes["require"] == {"pope": 0.01, "sparsity": 0.3}
        assert 0 <= plan.notes["predicted"]["pope"]["mean"] <= 1
        message = refused(("query", run, "--require", "pope=1", "--require", "sparsity=0.7"))
        assert re.search(
            r"out of reach: predicted at most pope [\d.]+ ± [\d.]+; ask for pope ≤ [\d.]+", message
        )
        assert "one of them" in refused(("query", run, "--require", "pope=0.5", "--sparsity", "0.3"))
        assert "preference R,U,C" in refused(("query", run))

    def test_latency(
        self, run: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
    ) -> None:
        search = ("search", str(run), "--compression", "latency", *SEARCH)
        most = attainable(refused(search))
        measured = (run / "latency.json").read_bytes()
        assert main([*search, "--s-min", "0", "--s-max", f"{most / 2:.6g}"]) == 0
        assert (run / "latency.json").read_bytes() == measured
        plan = query(run, tmp_path / "plan.json", "--preference", "0,0,1", "--align", "4")
        assert plan.ledger.latency is not None
        assert 0 <= plan.ledger.latency <= most
        assert "float32, 64 questions of" in capsys.readouterr().out
        assert {count % 4 for count in plan.kept} == {0}
