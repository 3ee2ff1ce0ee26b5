"""A run lists what was written elsewhere, once; a line cut off is passed over, a damaged one is refused."""

from pathlib import Path

import pytest

from hipp_prune.errors import IncompleteRunError, RunError
from hipp_prune.files.manifest import faults, start_list
from hipp_prune.files.outputs import Output, list_output, read_outputs
from hipp_prune.files.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    start_list(tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_what_lies_elsewhere_is_listed_once(run: RunDirectory, tmp_path: Path) -> None:
    assert read_outputs(run) == []
    list_output(run, "plan", run.plans / "own.json")
    assert not run.outputs.exists()
    for path in (tmp_path / "plan.json", tmp_path / "run" / ".." / "plan.json"):
        list_output(run, "plan", path)
    list_output(run, "result", tmp_path / "plan.json")
    path = str(tmp_path / "plan.json")
    assert read_outputs(run) == [Output(kind="plan", path=path), Output(kind="result", path=path)]
    assert list(faults(run.root)) == []


def test_a_line_cut_off_is_passed_over(run: RunDirectory, tmp_path: Path) -> None:
    list_output(run, "plan", tmp_path / "plan.json")
    with run.outputs.open("a") as file:
        file.write('{"kind": "pl')
    assert len(read_outputs(run)) == 1
    list_output(run, "plan", tmp_path / "other.json")
    assert len(read_outputs(run)) == 2


def test_a_damaged_line_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    list_output(run, "plan", tmp_path / "plan.json")
    with run.outputs.open("a") as file:
        file.write('{"kind": "picture", "path": "x"}\n')
    with pytest.raises(IncompleteRunError, match=r"outputs\.jsonl, line 2: .*kind"):
        read_outputs(run)
    run.outputs.write_text("")
    with pytest.raises(RunError, match="is not what we wrote"):
        read_outputs(run)
