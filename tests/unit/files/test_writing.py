"""A file is written whole or not at all, and only a regular file is ever replaced."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hipp_prune.errors import OutputExistsError, RunError
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.manifest import start_list
from hipp_prune.files.writing import check_file, write_output, write_text


def test_a_file_is_replaced_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for text in ("old", "new"):
        write_text(tmp_path / "deep" / "a.json", text)
        assert [path.read_text() for path in (tmp_path / "deep").iterdir()] == [text]


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link", "pipe"])
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path, mine = tmp_path / "out", tmp_path / "mine"
    mine.write_text("mine")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(mine if kind == "link" else tmp_path / "nowhere")
    for attempt in (lambda: write_text(path, "ours"), lambda: check_file(path, force=True)):
        with pytest.raises(OutputExistsError, match="no regular file"):
            attempt()
    assert mine.read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine", "out"]


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(OutputExistsError, match="no regular file"):
        write_text(Path(os.devnull), "ours")


def _lock(path: Path) -> None:
    with sole_writer(path):
        pass


WRITERS: dict[str, Callable[[Path], object]] = {
    "file": lambda path: write_text(path, "ours"),
    "output": lambda path: write_output(path, "ours", force=True),
    "lock": _lock,
    "list": start_list,
}


@pytest.mark.parametrize("below", ["p.json", "a/b/p.json"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path, writer: str, below: str) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(RunError, match=r"mine\.txt is no folder; choose another place") as caught:
        WRITERS[writer](mine / below)
    assert "free space" not in str(caught.value)
    assert mine.read_text() == "mine"


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    check_file(path, force=False)
    path.write_text("mine")
    check_file(path, force=True)
    with pytest.raises(OutputExistsError, match="add --force"):
        check_file(path, force=False)
