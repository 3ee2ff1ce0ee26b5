"""The explorer's page as a file: where it lies, what it replaces, and what it refuses."""

from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.errors import IncompleteRunError, OutputExistsError
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.report.page import write_report
from hipp_prune.stages.explore import explore
from tests.unit.report.explored import explored, make_planner


def test_the_page_lies_in_the_run_or_elsewhere_and_needs_no_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = explored(tmp_path, make_planner()).run
    assert main(["explore", str(run.root)]) == 0
    assert run.explorer.as_uri() in capsys.readouterr().out
    assert explore(run.root) == run.explorer
    assert explore(run.root, tmp_path / "mine.html").read_bytes() == run.explorer.read_bytes()
    html = run.explorer.read_text(encoding="utf-8")
    assert len(html) < 1_500_000
    assert "http://" not in html
    assert "https://" not in html
    assert "default-src 'none'" in html


def test_a_page_that_is_not_ours_stays(tmp_path: Path) -> None:
    run = explored(tmp_path, make_planner()).run
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(OutputExistsError):
        explore(run.root, tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text() == "mine"
    assert explore(run.root, tmp_path / "mine.html", force=True).read_text() != "mine"


def test_a_run_that_was_not_searched_has_nothing_to_explore(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create(Provenance.now(model="models/some-vlm", questions=("toyworld",), seed=7))
    with pytest.raises(IncompleteRunError, match="hipp-prune search"):
        explore(run.root)


def test_the_report_holds_the_same_page_and_stays_small(tmp_path: Path) -> None:
    run = explored(tmp_path, make_planner()).run
    html = write_report(run).read_text(encoding="utf-8")
    begin = '<script type="application/json" id="explorer-data">'
    parts = [
        page.partition(begin)[2].partition("</script>")[0] for page in (html, explore(run.root).read_text())
    ]
    assert parts[0] == parts[1] != ""
    assert len(html) < 1_500_000
