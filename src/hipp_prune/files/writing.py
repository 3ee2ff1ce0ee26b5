"""Files are written whole or not at all: to a temporary name, flushed to disk, then renamed."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from hipp_prune.errors import OutputExistsError, RunError
from hipp_prune.files.manifest import is_own, listing_folder, needed_by, note
from hipp_prune.files.replacing import clean, temporary_name
from hipp_prune.files.system import cause_and_remedy


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` atomically: after a crash the old content or the new one is there, never half.

    Raises:
        RunError: if the disk is full or the place is not writable.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)


def write_output(path: Path, text: str, *, force: bool) -> None:
    """Writes an output of a command atomically; a file that says just that may be there already.

    Raises:
        OutputExistsError: see ``check_file``.
        RunError: if the disk is full or the place is not writable.
    """
    if path.is_file() and not path.is_symlink() and path.read_bytes() == text.encode():
        return
    check_file(path, force=force)
    write_text(path, text)


def write_json(path: Path, content: Any) -> None:
    """Writes ``content`` as JSON, atomically.

    Raises:
        RunError: if the disk is full or the place is not writable.
    """
    write_text(path, json.dumps(content, indent=1) + "\n")


def check_file(path: Path, *, force: bool) -> None:
    """Refuses an output file that must not be replaced, before any work is done.

    Raises:
        OutputExistsError: if something is there and ``force`` is false, or it is no regular file, or what a run or a
            checkpoint consists of.
    """
    check_replaceable(path)
    clean(path.parent, path.name)
    if not path.exists():
        return
    if not force:
        raise OutputExistsError(f"{path} already exists; choose another output or add --force to replace it")
    if (whole := needed_by(path)) is not None:
        raise OutputExistsError(
            f"{path} is a part of {whole}, which would be lost without it; choose another output"
        )


def check_own(path: Path, *, force: bool) -> None:
    """Refuses to write a file anew that is not as we wrote it.

    Raises:
        OutputExistsError: if something else is there and ``force`` is false, or it is no regular file.
    """
    check_replaceable(path)
    clean(path.parent, path.name)
    if path.exists() and not force and not is_own(path):
        raise OutputExistsError(
            f"{path} is not what we wrote; move it elsewhere or add --force to replace it"
        )


def check_results(folder: Path, names: Iterable[str], *, force: bool) -> None:
    """Refuses to write files into a folder where others of these names are, before any work is done.

    Those that we wrote there are ours to write anew.

    Raises:
        OutputExistsError: see ``check_own``; also if ``folder`` is no folder.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputExistsError(f"{folder} is no folder; choose another one for the results")
    for name in names:
        check_own(folder / name, force=force)


def check_replaceable(path: Path) -> None:
    """Refuses a path at which something else than a regular file is: a folder, a link, a device, a pipe.

    Raises:
        OutputExistsError: saying so.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OutputExistsError(
            f"{path} is no regular file, so nothing is written there; choose another output"
        )


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and moves it there when the body succeeded.

    Raises:
        RunError: if writing fails, naming the path and the system's reason.
        OutputExistsError: if something else than a regular file is there.
    """
    check_replaceable(path)
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if (folder := listing_folder(path)) is not None:
            note(folder, path.absolute().relative_to(folder).as_posix(), temporary)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot write {path}: {cause_and_remedy(error, path)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
