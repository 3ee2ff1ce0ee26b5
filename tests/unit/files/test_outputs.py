"""A run lists what was written elsewhere, once; a line cut off is passed over, a damaged one is refused."""

from dataclasses import asdict
from pathlib import Path

import pytest

from hipp_prune.errors import IncompleteRunError, RunError
from hipp_prune.files.manifest import faults, start_list
from hipp_prune.files.outputs import Output, list_output, read_outputs, run_of, run_of_model
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.files.writing import write_json


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


def _begun(root: Path, model: str) -> RunDirectory:
    start_list(root)
    run = RunDirectory(root)
    write_json(run.manifest, asdict(Provenance.now(model=model, questions=("toyworld",), seed=0)))
    return run


def test_the_run_of_a_file_is_found_where_it_lies_or_by_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = _begun(Path("run"), "toy-llava")
    _begun(Path("another"), "toy-llava")
    assert run_of("plan", run.plans / "own.json") == run
    assert run_of("result", run.plans / "own.json") is None
    assert run_of("plan", Path("plan.json")) is None
    list_output(run, "plan", Path("plan.json"))
    assert run_of("plan", Path("plan.json")) == run
    assert run_of("result", Path("plan.json")) is None
    beside = tmp_path / "plan.json"
    monkeypatch.chdir("another")
    found = run_of("plan", beside)
    assert found is not None
    assert found.root == tmp_path / "run"


def test_the_run_of_a_model_is_named_where_there_is_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = _begun(Path("run"), "toy-llava")
    _begun(Path("another"), "toy-qwen2.5-vl")
    assert run_of_model("toy-llava", Path("result.json")) == run
    assert run_of_model("mine", Path("result.json")) is None
    _begun(Path("third"), "toy-llava")
    assert run_of_model("toy-llava", Path("result.json")) is None
    (tmp_path / "third" / "run.json").write_text("{")
    assert run_of_model("toy-llava", Path("result.json")) == run
