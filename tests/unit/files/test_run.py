import json
import os
from pathlib import Path

import pytest

from hipp_prune.errors import IncompleteRunError, OutputExistsError, RunError
from hipp_prune.files.manifest import faults, start_list
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.files.writing import atomic_path, check_file, check_own, write_json, write_text
from tests.unit.files.left_over import left_over
from tests.unit.full_disk import full_disk


def _provenance() -> Provenance:
    return Provenance.now(model="toy-llava", questions=("toy", "pope:coco.json"), seed=3)


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208 (hidden files too)


def test_manifest_round_trip(tmp_path):
    run = RunDirectory(tmp_path / "run")
    provenance = _provenance()
    run.create(provenance)
    assert run.provenance() == provenance
    assert {"python", "torch", "transformers", "machine"} <= set(provenance.versions)
    assert provenance.created.endswith("+00:00")


def test_paths_lie_inside_the_run(tmp_path):
    run = RunDirectory(tmp_path)
    search = run.search
    paths = [run.manifest, run.calibration, search.root, search.latency]
    paths += [run.plans, run.results, run.report, run.cache]
    assert len(set(paths)) == len(paths)
    assert all(path.parent == tmp_path for path in paths)
    found = [search.record, search.archive, search.curve, search.forecast, search.planner]
    assert len(set(found)) == len(found)
    assert all(path.parent == search.root for path in found)


def test_an_existing_run_is_refused_and_replaced_only_by_force(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.check(force=False)
    run.create(_provenance())
    write_text(run.calibration, "old")
    write_text(run.plans / "a.json", "old")
    (run.root / "thesis.tex").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"already holds a run; .*--force"):
        run.check(force=False)
    assert run.calibration.read_text() == "old"
    run.check(force=True)
    run.create(_provenance())
    assert _names(run.root) == ["files.jsonl", "run.json", "thesis.tex"]
    assert list(faults(run.root)) == []


def test_a_calibration_that_was_cut_off_is_no_run_yet(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(_provenance())
    run.check(force=False)


@pytest.mark.parametrize("name", ["run.json", "thesis.tex"])
def test_a_folder_of_somebody_else_is_left_alone_even_by_force(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("{}")
    with pytest.raises(OutputExistsError, match=r"has no files\.jsonl"):
        RunDirectory(tmp_path / "run").check(force=True)


@pytest.mark.parametrize("force", [False, True])
def test_a_checkpoint_of_ours_is_no_run_that_was_cut_off(tmp_path, force):
    start_list(tmp_path / "smaller")
    write_text(tmp_path / "smaller" / "config.json", "{}")
    with pytest.raises(OutputExistsError, match=r"smaller is a checkpoint; .*choose another run directory"):
        RunDirectory(tmp_path / "smaller").check(force=force)


def test_a_manifest_that_was_killed_before_it_got_its_name_is_in_nobodys_way(tmp_path):
    (tmp_path / "run").mkdir()
    left_over(tmp_path / "run" / "run.json").write_text("{")
    run = RunDirectory(tmp_path / "run")
    run.check(force=False)
    run.create(_provenance())
    assert _names(run.root) == ["files.jsonl", "run.json"]


def test_an_empty_folder_is_free(tmp_path):
    (tmp_path / "out").mkdir()
    RunDirectory(tmp_path / "out").create(_provenance())
    check_file(tmp_path / "nothing", force=False)


def test_a_file_that_is_there_needs_force(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(OutputExistsError, match="--force"):
        check_file(path, force=False)
    check_file(path, force=True)
    assert path.read_text() == "x"


def test_force_never_replaces_what_a_run_consists_of(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(_provenance())
    write_text(run.plans / "1,0,0.json", "a plan")
    check_file(run.plans / "1,0,0.json", force=True)
    with pytest.raises(OutputExistsError, match=r"run\.json is a part of .*run"):
        check_file(run.manifest, force=True)


def test_a_page_that_somebody_changed_is_kept(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(_provenance())
    write_text(run.report, "a page")
    check_own(run.report, force=False)
    run.report.write_text("a page, corrected by hand")
    with pytest.raises(OutputExistsError, match=r"not what we wrote"):
        check_own(run.report, force=False)
    check_own(run.report, force=True)


def test_atomic_write_replaces(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old λ")
    write_text(path, "new λ")
    assert path.read_text(encoding="utf-8") == "new λ"
    assert _names(path.parent) == ["file.txt"]


def test_atomic_write_never_touches_the_old_file(tmp_path):
    path, link = tmp_path / "file.txt", tmp_path / "link.txt"
    write_text(path, "old")
    link.hardlink_to(path)
    write_text(path, "new")
    assert (path.read_text(), link.read_text()) == ("new", "old")


def test_atomic_write_leaves_the_old_content_if_the_body_raises(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["file.txt"]


def test_disk_full_is_a_sentence(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with full_disk(), pytest.raises(RunError, match=r"cannot write .*file\.txt: .*; free space or choose"):
        write_text(path, "x" * 10_000)
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["file.txt"]


def test_flush_that_fails_is_a_sentence(tmp_path, monkeypatch):
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(RunError, match=r"file\.json: No space left on device"):
        write_json(tmp_path / "file.json", {})
    assert _names(tmp_path) == []


def test_place_below_a_file_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*choose another place"):
        write_text(tmp_path / "file" / "below.txt", "x")


def test_require_names_the_command(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(_provenance())
    with pytest.raises(
        IncompleteRunError, match=r"has no calibration.safetensors; run `hipp-prune calibrate`"
    ):
        run.require(run.calibration, made_by="hipp-prune calibrate")
    run.calibration.write_text("")
    assert run.require(run.calibration, made_by="hipp-prune calibrate") == run.calibration


def test_require_of_an_empty_or_missing_run(tmp_path):
    for root in (tmp_path, tmp_path / "missing"):
        run = RunDirectory(root)
        with pytest.raises(IncompleteRunError, match=r"has no calibration.safetensors; run `make it`"):
            run.require(run.calibration, made_by="make it")
        with pytest.raises(IncompleteRunError, match="hipp-prune calibrate"):
            run.provenance()


@pytest.mark.parametrize("text", ["", "{", '{"model": "x"', "[]", "{}", '{"questions": 3}', "null"])
def test_half_written_or_foreign_manifest(tmp_path, text):
    run = RunDirectory(tmp_path)
    run.manifest.write_text(text)
    with pytest.raises(IncompleteRunError, match=r"run\.json.*calibrate"):
        run.provenance()


def test_manifest_of_another_version(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(_provenance())
    content = json.loads(run.manifest.read_text()) | {"colour": "blue"}
    write_json(run.manifest, content)
    with pytest.raises(IncompleteRunError, match=r"colour.*make a run with `hipp-prune calibrate"):
        run.provenance()
