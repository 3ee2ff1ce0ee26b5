"""A folder is replaced whole or not at all, wherever the process dies, and what is not ours stays."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hipp_prune.errors import OutputExistsError
from hipp_prune.files import manifest, replacing
from hipp_prune.files.manifest import FILE_LIST, faults, note, start_list
from hipp_prune.files.replacing import (
    check_folder,
    finish_replacement,
    is_fresh,
    is_temporary,
    new_folder,
    settle,
    taken_back,
    temporary_name,
)
from tests.unit.files.left_over import left_over

OLD = {"config.json": "old", "weights/a.bin": "old weights", "gone.txt": "only in the old one"}
NEW = {"config.json": "new", "weights/a.bin": "new weights", "weights/b.bin": "more"}


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote a temporary file has ended since."""
    monkeypatch.setattr(replacing, "is_alive", lambda _: False)


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != FILE_LIST
    }


def write(out: Path, files: dict[str, str]) -> None:
    with new_folder(out) as folder:
        fill(folder, files)


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process dies just before the ``step``-th change of a name (rename, unlink, rmdir) or line of a list."""
    done: list[str] = []

    def counted(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: object, **options: object) -> object:
            if len(done) == step:
                raise Killed
            done.append(name)
            return original(*arguments, **options)

        return change

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "rmdir"):
            patch.setattr(Path, name, counted(name, getattr(Path, name)))
        patch.setattr(manifest, "note", counted("note", manifest.note))
        patch.setattr(replacing.shutil, "rmtree", lambda *_, **__: None)  # a dead process tidies nothing up
        yield


def test_a_new_folder_appears_whole_with_its_list(tmp_path: Path) -> None:
    write(tmp_path / "out", NEW)
    assert contents(tmp_path / "out") == NEW
    assert list(faults(tmp_path / "out")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "out", OLD)
    with suppress(ZeroDivisionError), new_folder(tmp_path / "out") as folder:
        fill(folder, NEW)
        raise ZeroDivisionError
    assert contents(tmp_path / "out") == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    write(tmp_path / "out", OLD)
    fill(tmp_path / "out", {"thesis.tex": "mine", "weights/notes/a.txt": "mine too"})
    write(tmp_path / "out", NEW)
    assert contents(tmp_path / "out") == {**NEW, "thesis.tex": "mine", "weights/notes/a.txt": "mine too"}


def test_a_foreign_file_of_a_name_that_we_need_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "out", OLD)
    fill(tmp_path / "out", {"weights/b.bin": "mine"})
    with pytest.raises(OutputExistsError, match=r"b\.bin is not ours"):
        write(tmp_path / "out", NEW)
    assert contents(tmp_path / "out") == {**OLD, "weights/b.bin": "mine"}


@pytest.mark.parametrize("step", range(40))
@pytest.mark.usefixtures("ended")
def test_killed_anywhere_the_next_command_finds_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    out = tmp_path / "out"
    write(out, OLD)
    fill(out, {"thesis.tex": "mine"})
    finished = False
    with killed_at(step, monkeypatch), suppress(Killed):
        write(out, NEW)
        finished = True
    settle(out)
    found = contents(out)
    assert found.pop("thesis.tex") == "mine"
    assert found in ([NEW] if finished else [OLD, NEW])
    assert list(faults(out)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("ended")
def test_killed_while_it_settles_it_settles_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    for first in range(4, 12):
        write(out, OLD)
        fill(out, {"thesis.tex": "mine"})
        with killed_at(first, monkeypatch), suppress(Killed):
            write(out, NEW)
        for step in range(12):
            with killed_at(step, monkeypatch), suppress(Killed):
                settle(out)
        settle(out)
        found = contents(out)
        assert found.pop("thesis.tex") == "mine"
        assert found in (OLD, NEW)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("ended")
def test_whoever_reads_next_finds_a_whole_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    for step in range(60):
        write(out, OLD) if not out.exists() else None
        with killed_at(step, monkeypatch), suppress(Killed):
            write(out, NEW)
        finish_replacement(out)
        assert contents(out) in (OLD, NEW)


def test_temporary_names_are_known_and_cleaned_and_nothing_else_is(tmp_path: Path) -> None:
    in_use, dead = temporary_name(tmp_path / "plan.json"), left_over(tmp_path / "plan.json")
    others = [".plan.json.0123ABCD4567.tmp", ".plan.json.tmp", "plan.json.0123abcd0123.tmp"]
    assert is_temporary(in_use)
    assert is_temporary(dead)
    for name in (in_use.name, dead.name, *others):
        (tmp_path / name).write_text("")
    replacing.clean(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {in_use.name, *others}


def test_a_temporary_file_of_an_earlier_process_with_our_number_is_left_over(tmp_path: Path) -> None:
    ours = temporary_name(tmp_path / "plan.json")
    ours.write_text("")
    os.utime(ours, (1, 1))
    replacing.clean(tmp_path, "plan.json")
    assert not ours.exists()


def test_only_folders_of_ours_are_replaced_and_only_by_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_folder(out, force=False)
    out.mkdir()
    check_folder(out, force=False)
    fill(out, {"run.json": "somebody's"})
    with pytest.raises(OutputExistsError, match="add --force"):
        check_folder(out, force=False)
    with pytest.raises(OutputExistsError, match="the list of the files we wrote"):
        check_folder(out, force=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(out)
    for name in ("file", "link"):
        with pytest.raises(OutputExistsError, match="is no folder"):
            check_folder(tmp_path / name, force=True)


@pytest.mark.parametrize("name", ["run.json", "compare.json", "bench.json"])
def test_force_replaces_no_hours_of_work_by_a_checkpoint(tmp_path: Path, name: str) -> None:
    write(tmp_path / "run", {name: "{}"})
    with pytest.raises(
        OutputExistsError, match="holds a run or a comparison, which --force replaces by no other"
    ):
        check_folder(tmp_path / "run", force=True)


@pytest.mark.parametrize("name", [".", "..", "/", "a/.."])
def test_the_working_folder_is_no_output(name: str) -> None:
    with pytest.raises(OutputExistsError, match="choose another output"):
        check_folder(Path(name), force=True)


def begin(folder: Path, *more: str) -> None:
    """Begins a folder and is refused."""
    with taken_back(folder, "compare.json"):
        start_list(folder)
        fill(folder, dict.fromkeys(("compare.json", "cache/picture.png", *more), ""))
        raise OutputExistsError("no such questions")


def test_what_a_refused_command_began_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "before", {"thesis.tex": "mine"})
    for name, more in (("new", ()), ("empty", ()), ("before", ()), ("computed", ("cells/a.parquet",))):
        with pytest.raises(OutputExistsError):
            begin(tmp_path / name, *more)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "computed", "empty"]
    assert not any((tmp_path / "empty").iterdir())
    assert (tmp_path / "before" / "thesis.tex").exists()
    assert (tmp_path / "computed" / "cells" / "a.parquet").exists()


def test_a_folder_of_which_only_the_list_was_begun_is_fresh(tmp_path: Path) -> None:
    start_list(tmp_path)
    fill(tmp_path, {temporary_name(tmp_path / "a.json").name: "half"})
    note(tmp_path, "a.json", next(path for path in tmp_path.iterdir() if is_temporary(path)))
    assert is_fresh(tmp_path)
    fill(tmp_path, {"a.json": "half"})
    assert not is_fresh(tmp_path)
