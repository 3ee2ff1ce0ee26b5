"""Files are written whole or not at all: to a temporary name, flushed to disk, then renamed."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError

from hipp_prune.errors import OutputExistsError, RunError


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


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and moves it there when the body succeeded.

    Raises:
        RunError: if writing fails, naming the path and the system's reason.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"cannot write {path}: {reason}; free space or choose another place") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
