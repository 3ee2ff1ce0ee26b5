"""The loop over parts: what it runs, writes and says, with cells that finish at once."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.errors import RunError
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.experiments.compare.settings import CompareSettings
from hipp_prune.experiments.paper import run
from hipp_prune.experiments.paper.settings import QUICK
from hipp_prune.experiments.paper.stage import paper
from hipp_prune.experiments.settings import CrewSettings
from tests.unit.experiments.paper.synthetic import result

SETTINGS = replace(
    QUICK, budgets={"toy-llava": (0.5,)}, baselines=("uniform",), searches=("hybrid",), seeds=1
)


class Instant:
    """Stands in for ``run_cells``: every cell is finished at once, or fails."""

    def __init__(self, *, failing: str = "") -> None:
        self.failing = failing
        self.called: list[tuple[Path, CompareSettings]] = []

    def __call__(
        self, root: Path, cells: Sequence[Cell], settings: CompareSettings, **options: Any
    ) -> dict[Cell, str]:
        self.called.append((root, settings))
        failed = {cell: "no memory" for cell in cells if self.failing and self.failing in str(cell)}
        for cell in cells:
            if cell not in failed:
                told = settings.told(cell.contender, cell.seed)
                replace(result(cell, (0.9, 0.6)), settings=told).save(root)
        return failed


def _pages(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.md")} - {"README"}


def test_every_part_is_run_in_its_folder_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    instant, lines = Instant(), []
    monkeypatch.setattr(run, "run_cells", instant)
    paper(tmp_path / "out", tmp_path / "pages", SETTINGS, command="make paper", say=lines.append)
    assert _pages(tmp_path / "pages") == {part.name for part in run.PARTS if part.cells(SETTINGS)}
    assert {root.name for root, _ in instant.called} == {"cells", "recovered-on-random"}
    for root, settings in instant.called:
        assert settings.recovery.only_subset == ("random" if root.name == "recovered-on-random" else None)
    index = (tmp_path / "pages" / "README.md").read_text()
    assert "`make paper`" in index
    assert all(f"({part.name}.md)" in index for part in run.PARTS if part.cells(SETTINGS))
    assert "Unfinished" not in "".join(path.read_text() for path in (tmp_path / "pages").glob("*.md"))
    assert sum(line.startswith("table3: ") for line in lines) == 1


def test_what_parts_share_counts_once_in_the_time_of_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run, "run_cells", Instant())
    paper(tmp_path / "out", tmp_path / "pages", SETTINGS, parts=["table1", "proxy"])
    index = (tmp_path / "pages" / "README.md").read_text()
    cells = next(part for part in run.PARTS if part.name == "table1").cells(SETTINGS)
    seconds = round(3.1 * len(cells))
    assert f"took {seconds // 60} min {seconds % 60:02d} s of one worker's time" in index
    assert "(proxy.md)" in index
    assert "| 0 min 00 s |" in index.split("(proxy.md)")[1].splitlines()[0]


def test_what_fails_is_named_after_everything_else_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run, "run_cells", Instant(failing="uniform"))
    with pytest.raises(RunError, match=r"1 jobs failed.*uniform.*no memory"):
        paper(tmp_path / "out", tmp_path / "pages", SETTINGS, parts=["table1", "table4"])
    assert _pages(tmp_path / "pages") == {"table1", "table4"}
    assert "**Unfinished" in (tmp_path / "pages" / "table1.md").read_text()


def test_when_the_time_is_over_nothing_more_is_run_but_pages_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    instant = Instant()
    monkeypatch.setattr(run, "run_cells", instant)
    paper(tmp_path / "out", tmp_path / "pages", SETTINGS, crew=CrewSettings(minutes=1e-9))
    assert not instant.called
    assert _pages(tmp_path / "pages") == {part.name for part in run.PARTS if part.cells(SETTINGS)}


def test_times_add_up_over_interruptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*arguments: Any, **options: Any) -> dict[Cell, str]:
        raise KeyboardInterrupt

    clock = iter(range(0, 1000, 7))
    monkeypatch.setattr(run.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(run, "run_cells", interrupted)
    with pytest.raises(KeyboardInterrupt):
        paper(tmp_path / "out", tmp_path / "pages", SETTINGS, parts=["table3"])
    monkeypatch.setattr(run, "run_cells", Instant())
    lines: list[str] = []
    paper(tmp_path / "out", tmp_path / "pages", SETTINGS, parts=["table3"], say=lines.append)
    assert lines[-1].endswith("0 min 14 s")


def test_the_time_of_a_run_that_is_killed_counts_up_to_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = []

    def killed(*arguments: Any, say: run.Say, **options: Any) -> dict[Cell, str]:
        say("a cell is done")
        kept.append(json.loads((tmp_path / "out" / "times.json").read_text()))
        return {}

    clock = iter(range(0, 1000, 7))
    monkeypatch.setattr(run.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(run, "run_cells", killed)
    lines: list[str] = []
    paper(tmp_path / "out", tmp_path / "pages", SETTINGS, parts=["table3"], say=lines.append)
    assert kept == [{"table3": 7.0}]
    assert "a cell is done" in lines
