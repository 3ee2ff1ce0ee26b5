"""Searches compared through the command line, on a run directory and on the landscape."""

import csv
from pathlib import Path

import pytest

from hipp_prune.cli import main
from tests.e2e.conftest import Benchmarks, Refused
from tests.e2e.documents import last_document


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, llava: Path, benchmarks: Benchmarks) -> Path:
    """A calibrated run directory."""
    out = tmp_path_factory.mktemp("compared") / "run"
    words = ["calibrate", "--model", str(llava), "--questions", *benchmarks.specs, "--count", "12"]
    assert main([*words, "--out", str(out)]) == 0
    return out


def test_searches_of_a_model_and_of_the_landscape_are_compared(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = ["bench-search", "--out", str(tmp_path / "bench"), "--problems", str(run), "landscape"]
    bench += ["--methods", "random", "grpo-paper", "--budgets", "16", "--seeds", "1", "--limit", "8"]
    bench += ["--workers", "1", "--results", str(tmp_path / "results")]
    results = tmp_path / "results" / "results.csv"
    assert main(bench) == 0
    printed = capsys.readouterr()
    assert "[4/4]" in printed.err
    assert "grpo-paper" in printed.out
    assert (tmp_path / "bench" / "curves.html").is_file()
    with results.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["problem"], row["method"]) for row in rows] == [
        ("landscape", "grpo-paper"),
        ("landscape", "random"),
        ("run", "grpo-paper"),
        ("run", "random"),
    ]
    assert all(float(row["regret"]) >= 0 for row in rows)
    assert all(0 <= float(row["hypervolume"]) <= 1 for row in rows)
    before = results.read_text()
    assert main([*bench, "--json"]) == 0
    assert results.read_text() == before
    said = capsys.readouterr()
    assert "[1/4]" not in said.err
    assert set(last_document(said.out)) == {"tables", "verdicts"}


def test_a_folder_of_something_else_is_refused(run: Path, refused: Refused) -> None:
    message = refused(["bench-search", "--out", run, "--problems", "landscape"])
    assert "no bench.json" in message
