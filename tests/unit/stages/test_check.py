"""``hipp-prune check``: damage anywhere in a run is found, and a sound one is said to be."""

import re
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.errors import RunError
from hipp_prune.files.manifest import own_files
from hipp_prune.files.replacing import new_folder
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.files.writing import write_text
from hipp_prune.stages.check import check


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with a checkpoint in it, which has a list of its own."""
    run = RunDirectory(tmp_path / "run")
    run.create(Provenance.now(model="toy-llava", questions=("toyworld",), seed=0))
    write_text(run.plans / "1,0,0.json", "a plan\n")
    with new_folder(run.root / "checkpoints" / "1,0,0") as folder:
        (folder / "model.safetensors").write_bytes(bytes(range(256)))
    return run


def test_a_sound_run_is_said_to_be(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(run.root)]) == 0
    assert "5 files, all as they were written" in re.sub(r"\s+", " ", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["run.json", "plans/1,0,0.json", "checkpoints/1,0,0/model.safetensors"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "removed"])
def test_damage_is_named(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    path = run.root / name
    content = bytearray(path.read_bytes())
    content[1] ^= 4
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flipped" else content[:-1])
    assert main(["check", str(run.root)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"hipp-prune: {path}: expected ")
    assert len(said.splitlines()) == 1


def test_a_change_on_purpose_is_accepted(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    run.manifest.write_text(run.manifest.read_text().replace("toy-llava", "my-llava"))
    (run.plans / "1,0,0.json").unlink()
    with pytest.raises(RunError, match=r"run\.json is not what we wrote .*--accept"):
        run.provenance()
    assert main(["check", str(run.root), "--accept"]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert said.count("taken as it is now") == 2
    assert run.provenance().model == "my-llava"


def test_what_we_did_not_write_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert "has no files.jsonl" in capsys.readouterr().err


def test_the_list_names_every_file_of_a_run_once(run: RunDirectory) -> None:
    names = [path.relative_to(run.root).as_posix() for path in own_files(run.root)]
    assert names == ["run.json", "plans/1,0,0.json", "files.jsonl"]


def test_a_part_of_a_run_is_checked_with_the_run(run: RunDirectory) -> None:
    with pytest.raises(
        RunError, match=rf"is a part of what lies in .*; check that: `hipp-prune check {run.root}`"
    ):
        check(run.plans)
