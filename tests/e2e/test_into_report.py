"""README's promise: plans and results reach a run's report wherever they were written, and what does not says so."""

import shlex
import shutil
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.report.contents import read_contents
from tests.e2e.conftest import Finished

ASIDE = "without --run, no run's report shows these results; add --run"


@pytest.fixture
def run(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A searched run in a folder of its own, with no result and no plan yet."""
    monkeypatch.chdir(tmp_path)
    run = RunDirectory(Path(shutil.copytree(finished.run, "run")))
    for path in (*run.results.iterdir(), *run.plans.glob("*"), run.outputs, run.report):
        path.unlink(missing_ok=True)
    return run


def _next(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The words behind ``next:``, without the program's."""
    last = capsys.readouterr().err.strip().splitlines()[-1]
    program, *words = shlex.split(last)
    assert program == "hipp-prune"
    return words


def test_what_the_printed_lines_write_elsewhere_reaches_the_report(
    run: RunDirectory, finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    """README's flow: the plan and the results lie outside of the run, and ``prune`` is told no run."""
    asked = ["--preference", "2,1,1", "--sparsity", "0.225"]
    assert main(["query", str(run.root), *asked, "--out", "plan.json"]) == 0
    model, elsewhere = str(finished.model), Path("elsewhere").absolute()
    elsewhere.mkdir()
    assert main(["prune", "--model", model, "--plan", "plan.json", "--out", "smaller"]) == 0
    words = _next(capsys)
    assert words[-2:] == ["--run", "run"]
    assert main([*words, "--label", "smaller of mine", "--out", "elsewhere/smaller.json"]) == 0
    asked = [*words, "--out", "elsewhere/dense.json"]
    asked[asked.index("smaller")] = model
    assert main(asked) == 0
    assert ASIDE not in capsys.readouterr().err
    assert main(["report", "run"]) == 0
    contents = read_contents(run)
    assert set(contents.plans) == {str(Path("plan.json").absolute())}
    assert {each.model for each in contents.evaluations.values()} == {"smaller", model}
    page = run.report.read_text(encoding="utf-8")
    assert "smaller of mine" in page
    assert "has not been evaluated" not in page


@pytest.mark.parametrize(
    ("out", "told"), [("result.json", True), (None, True), ("run/results/mine.json", False)]
)
def test_results_that_reach_no_report_say_so_and_how(
    run: RunDirectory, finished: Finished, capsys: pytest.CaptureFixture[str], out: str | None, told: bool
) -> None:
    words = ["evaluate", "--model", str(finished.checkpoint), "--questions", *finished.benchmarks.specs]
    written = [] if out is None else ["--out", out]
    assert main([*words, "--limit", "8", *written]) == 0
    said = capsys.readouterr().err
    run_named = "run" if out else "RUN"  # beside the checkpoint lies another run of its model
    assert (f"{ASIDE} {run_named} for the report of " in said) == told
    assert (ASIDE in said) == told
    assert main(["report", "run"]) == 0
    assert bool(read_contents(run).evaluations) != told
