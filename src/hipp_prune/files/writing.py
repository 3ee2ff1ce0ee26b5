"""Files are written whole or not at all: to a temporary name, flushed to disk, then renamed."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from hipp_prune.errors import OutputExistsError, RunError
from hipp_prune.files.manifest import listing_folder, note
from hipp_prune.files.replacing import temporary_name


def refuse_existing(path: Path, *, force: bool) -> None:
    """Clears the way for an output: nothing there, an empty folder, or ``force``.

    Raises:
        OutputExistsError: if something is there and ``force`` is false.
    """
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
    if not path.exists():
        return
    if not force:
        raise OutputExistsError(f"{path} already exists; choose another output or add --force to replace it")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` atomically: after a crash the old content or the new one is there, never half.

    Raises:
        RunError: if the disk is full or the place is not writable.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)


def write_json(path: Path, content: Any) -> None:
    """Writes ``content`` as JSON, atomically.

    Raises:
        RunError: if the disk is full or the place is not writable.
    """
    write_text(path, json.dumps(content, indent=1) + "\n")


def check_file(path: Path, *, force: bool) -> None:
    """Refuses an output file that must not be replaced, before any work is done.

    Raises:
        OutputExistsError: if something is there and ``force`` is false, or it is no regular file.
    """
    check_replaceable(path)
    if path.exists() and not force:
        raise OutputExistsError(f"{path} already exists; choose another output or add --force to replace it")


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
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"cannot write {path}: {reason}; free space or choose another place") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
