"""The list of what we wrote: what is damaged is found, and nothing else is ever removed."""

import json
from pathlib import Path

import pytest

from hipp_prune.errors import RunError
from hipp_prune.files.manifest import (
    FILE_LIST,
    check_whole,
    faults,
    foreign_files,
    listing_folder,
    note,
    note_growing,
    own_files,
    read_list,
    remove_own,
    start_growing,
)
from hipp_prune.files.writing import write_text

FILES = {"run.json": "{}", "search/archive.jsonl": "line\n" * 10, "plans/a.json": "plan"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        note(tmp_path / "run", name, path)
    return tmp_path / "run"


def test_a_sound_folder_has_no_faults(folder: Path) -> None:
    assert list(faults(folder)) == []
    assert {path.relative_to(folder).as_posix() for path in own_files(folder)} == {*FILES, FILE_LIST}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer", "removed"])
def test_any_damage_to_any_file_is_found(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    after = {"cut": content[:-1], "empty": b"", "longer": content + b"x"}.get(damage, bytes(content))
    path.write_bytes(after)
    if damage == "removed":
        path.unlink()
    (sentence,) = faults(folder)
    assert str(path) in sentence


def test_any_flipped_bit_of_the_list_is_found(folder: Path) -> None:
    whole = (folder / FILE_LIST).read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n")
    for place in range(last):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        (folder / FILE_LIST).write_bytes(damaged)
        with pytest.raises(RunError, match="damaged line"):
            read_list(folder)


def test_a_line_cut_off_by_a_kill_is_passed_over(folder: Path) -> None:
    with (folder / FILE_LIST).open("ab") as file:
        file.write(b'{"file": "plans/b.json", "byt')
    assert set(read_list(folder)) == set(FILES)


def test_a_file_killed_before_it_took_its_name_is_whole_in_either_state(folder: Path) -> None:
    temporary = folder / ".plan.tmp"
    temporary.write_text("another plan")
    note(folder, "plans/a.json", temporary)
    assert list(faults(folder)) == []
    temporary.rename(folder / "plans" / "a.json")
    assert list(faults(folder)) == []


def test_only_our_files_are_removed(folder: Path) -> None:
    mine = [folder / "thesis.tex", folder / "plans" / "b.json", folder / "search" / "deep" / "notes.txt"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert foreign_files(folder) == sorted(mine)
    remove_own(folder)
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(mine)
    for path in mine:
        path.unlink()


def test_an_empty_folder_goes_with_its_last_file(folder: Path) -> None:
    remove_own(folder)
    assert not folder.exists()


def test_a_file_that_is_gone_again_may_not_be_there(folder: Path) -> None:
    (folder / "plans" / "a.json").unlink()
    note(folder, "plans/a.json", None)
    note(folder, "plans/a.json", None)
    assert list(faults(folder)) == []
    (folder / "plans" / "a.json").write_text("somebody's")
    assert "found a file that we did not write" in next(faults(folder))
    assert folder / "plans" / "a.json" not in own_files(folder)


def test_a_file_that_grows_is_whole_as_long_as_it_begins_as_it_was(folder: Path) -> None:
    path = folder / "search" / "archive.jsonl"
    note_growing(path)
    with path.open("a") as file:
        file.write("another line\n")
    assert list(faults(folder)) == []
    check_whole(path)
    path.write_text("line\n" * 9)
    assert "expected 50 bytes, found 45" in next(faults(folder))
    with pytest.raises(RunError, match="is not what we wrote"):
        check_whole(path)


def test_what_is_written_below_a_folder_with_a_list_is_noted_there(folder: Path, tmp_path: Path) -> None:
    write_text(folder / "plans" / "deep" / "b.json", "a plan")
    assert "plans/deep/b.json" in read_list(folder)
    write_text(tmp_path / "elsewhere.json", "no list above")
    assert listing_folder(tmp_path / "elsewhere.json") is None


def test_only_what_lies_below_a_path_is_removed(folder: Path) -> None:
    remove_own(folder, "search")
    assert not (folder / "search").exists()
    assert (folder / "run.json").is_file()
    assert list(faults(folder)) == []
    remove_own(folder, keep_list=True)
    assert [path.name for path in folder.iterdir()] == [FILE_LIST]
    assert list(faults(folder)) == []


def test_the_lines_are_plain_json(folder: Path) -> None:
    first = json.loads((folder / FILE_LIST).read_text().splitlines()[0])
    assert set(first) == {"file", "bytes", "sha256", "grows", "line"}


def test_a_file_that_grows_can_be_started_again_after_it_was_removed(folder: Path) -> None:
    archive = folder / "search" / "growing.jsonl"
    for _ in range(2):
        start_growing(archive)
        archive.write_text("a line\n")
        note_growing(archive)
        check_whole(archive)
        remove_own(folder, "search", keep_list=True)
        assert not archive.exists()


def test_a_file_that_was_noted_as_gone_and_not_removed_is_still_ours(folder: Path) -> None:
    note(folder, "plans/a.json", None)
    assert folder / "plans/a.json" in own_files(folder)
    assert list(faults(folder)) == []
    remove_own(folder, keep_list=True)
    assert not (folder / "plans").exists()
