"""A folder written whole or not at all, in place of one that we wrote before; whatever else lies there stays.

A new folder is written beside its place under a temporary name. Once all of it is on the disk it is called
``.NAME.new``: from here on the replacement *will* happen. The old folder, if any, becomes ``.NAME.old``; the new one
takes its name; files that are not ours move from the old one into it; our old files are removed. Killed at any point,
the next command calls ``settle``, which removes what was not finished or finishes what was.
"""

import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

from hipp_prune.errors import HippPruneError, OutputExistsError, RunError
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.manifest import FILE_LIST, foreign_files, note_all, own_files, remove_own, start_list
from hipp_prune.files.system import cause_and_remedy

_TEMPORARY = re.compile(r"\..+\.([0-9a-f]{6})[0-9a-f]{6}\.tmp")
"""A temporary name: the first six digits are the process."""
_STARTED = time.time()
CACHE = "cache"
"""Folder in a run or a comparison of what may be removed at any time."""
_WORK = ("run.json", "compare.json", "bench.json")
"""What a folder begins with that is gone on with, and not written at once."""


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` under which it is written first; it says which process writes."""
    return path.with_name(f".{_short(path.name)}.{os.getpid() & 0xFFFFFF:06x}{uuid4().hex[:6]}.tmp")


def _short(name: str) -> str:
    """A name cut so that a temporary one made of it is short enough for every file system."""
    return name.encode()[:180].decode(errors="ignore")


def is_alive(process: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def is_temporary(path: Path) -> bool:
    """Whether a name is one of ``temporary_name``'s."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_fresh(folder: Path) -> bool:
    """Whether a folder holds nothing but what a process left that was killed before it wrote anything whole."""
    return all(
        is_temporary(path) or (path.name == FILE_LIST and own_files(folder) == [path])
        for path in folder.iterdir()
    )


def clean(folder: Path, name: str | None = None) -> None:
    """Removes temporary files and folders that killed processes left.

    Args:
        folder: where they lie; nothing happens if it does not exist.
        name: what they were to become, in this folder; by default anything, there and in folders below.
    """
    found = folder.rglob(".*.tmp") if name is None else folder.glob(f".{escape(_short(name))}.*.tmp")
    for path in list(found):
        if _is_left_over(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def _is_left_over(path: Path) -> bool:
    """Whether a temporary file's process has ended; one of our own number may be that of an earlier container."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None or not path.exists():
        return False
    process = int(match[1], 16)
    return not is_alive(process) or (process == os.getpid() and path.stat().st_mtime < _STARTED)


def check_folder(out: Path, *, force: bool) -> None:
    """Refuses an output folder that must not be replaced, before any work is done.

    Raises:
        OutputExistsError: if there is something at ``out`` and ``force`` is false, or it is none of our folders, or
            holds what took hours.
    """
    _check_name(out)
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise OutputExistsError(f"{out} is no folder; choose another output")
    if not out.exists() or not any(out.iterdir()):
        return
    if not force:
        raise OutputExistsError(f"{out} already exists; choose another output or add --force to replace it")
    if not (out / FILE_LIST).is_file():
        raise OutputExistsError(
            f"{out} has no {FILE_LIST}, the list of the files we wrote, so --force does not replace it; choose another "
            "output"
        )
    if any((out / name).is_file() for name in _WORK):
        raise OutputExistsError(
            f"{out} holds a run or a comparison, which --force replaces by no other thing; choose another output, or "
            "move it elsewhere"
        )


def beside(out: Path, ending: str) -> Path:
    """An output's name with something behind it.

    Raises:
        OutputExistsError: if it has none, as ``.`` and ``/``.
    """
    _check_name(out)
    return out.with_name(f"{out.name}{ending}")


def _check_name(out: Path) -> None:
    if out.name in ("", ".."):
        raise OutputExistsError(
            f"{out} is where you are, or above, and cannot be replaced; choose another output"
        )


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yields an empty folder that takes the place of ``out`` once the body has succeeded.

    The caller holds the lock on ``out`` and has called ``check_folder``.

    Raises:
        OutputExistsError: if a file of somebody else's has a name that we are about to write.
        OSError: if writing fails; it is the caller's to say what it was that could not be written.
    """
    settle(out)
    parent = out.absolute().parent
    folder = temporary_name(out.absolute())
    try:
        start_list(folder)
        yield folder
        _refuse_clashes(out, folder)
        note_all(folder)
        for path in (*folder.rglob("*"), folder):
            flush(path)
        folder.rename(_new(out))
        flush(parent)
        settle(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settle(out: Path) -> None:
    """Finishes or undoes a replacement of ``out`` that was cut off; nothing happens where none was.

    Raises:
        RunError: if a file cannot be moved or removed.
    """
    new, old = _new(out), _old(out)
    try:
        _empty(old, out)
        if new.is_dir():
            if out.exists():
                out.rename(old)
            new.rename(out)
            flush(out.absolute().parent)
            _empty(old, out)
    except OSError as error:
        raise RunError(f"cannot finish replacing {out}: {cause_and_remedy(error, out)}") from error
    clean(out.absolute().parent, out.name)


@contextmanager
def taken_back(folder: Path, *names: str) -> Iterator[None]:
    """Takes back a folder that the body begins, where it is refused before anything was computed.

    Args:
        folder: one that goes on growing, such as a comparison; what lies in it already stays.
        names: files that are written before all inputs have been looked at; with any other file, the folder stays.
    """
    there = folder.is_dir()
    ours = not folder.exists() or (there and is_fresh(folder))
    try:
        yield
    except HippPruneError:
        if ours and folder.is_dir() and not any(_is_more(path, folder, names) for path in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)
            if there:
                folder.mkdir(exist_ok=True)
        raise


def _is_more(path: Path, folder: Path, names: Collection[str]) -> bool:
    """Whether a file is neither one of some, nor a list of ours, nor one that may be removed at any time."""
    passing = path.name in {FILE_LIST, *names} or CACHE in path.relative_to(folder).parts
    return not passing and (path.is_symlink() or not path.is_dir())


def finish_replacement(out: Path) -> None:
    """``settle`` for whoever only wants to read ``out``; nothing is touched where no replacement was cut off.

    Raises:
        RunError: if another process is replacing it just now.
    """
    if _new(out).is_dir() or _old(out).is_dir():
        with sole_writer(out):
            settle(out)


def flush(path: Path) -> None:
    """Waits until a file or a folder's entries are on the disk."""
    if not path.exists():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_clashes(out: Path, folder: Path) -> None:
    if not out.is_dir():
        return
    for path in foreign_files(out):
        name = path.relative_to(out)
        if (folder / name).exists():
            raise OutputExistsError(
                f"{path} is not ours, and a file of that name was to be written; move it elsewhere or choose another "
                "output"
            )


def _empty(old: Path, out: Path) -> None:
    """Moves what is not ours from the old folder into the new one, and removes the rest.

    Raises:
        RunError: if something stays, because its name is taken in the new folder.
    """
    if not old.is_dir() or not out.is_dir():
        return
    for path in foreign_files(old):
        target = out / path.relative_to(old)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    remove_own(old)
    if old.exists():
        raise RunError(
            f"{old} holds files that are not ours, left over from {out}; move them elsewhere and start again"
        )


def _new(out: Path) -> Path:
    return out.absolute().with_name(f".{out.name}.new")


def _old(out: Path) -> Path:
    return out.absolute().with_name(f".{out.name}.old")
