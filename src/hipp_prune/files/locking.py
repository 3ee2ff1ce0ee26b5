"""One writer at a time: a lock on a run, a comparison or an output folder, released when its holder dies."""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from hipp_prune.errors import RunError
from hipp_prune.files.system import cause_and_remedy

_LOOKS, _PAUSE = 10, 0.05
"""How often, and after how many seconds again, a lock's file is read that does not say yet who holds it."""


@contextmanager
def sole_writer(target: Path) -> Iterator[None]:
    """Holds the lock on ``target`` for the body; a stage inside a stage of the same process may ask again.

    The lock file lies beside the target, ``.NAME.lock``, and is gone when the lock is released. A killed process leaves
    the file, but not the lock. A target has one lock, by whatever name it is given.

    Args:
        target: the file or folder that the body writes; it need not exist yet.

    Raises:
        RunError: if another process holds the lock, saying which, where and since when; or if the place is not
            writable.
    """
    path = target.resolve()
    if not path.name:
        raise RunError(f"cannot write {target}: it is the root of the file system; choose another place")
    place = path.with_name(f".{path.name}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place, is_singleton=True)
        _acquire(lock, place, target)
    except OSError as error:
        raise RunError(f"cannot write {target}: {cause_and_remedy(error, path)}") from error
    outermost = lock.lock_counter == 1
    try:
        if outermost:
            _sign(place, target)
        yield
    finally:
        if outermost:
            with suppress(OSError):
                place.unlink()  # while it is held: who waits for it finds it gone, and tries again
        lock.release()


def _acquire(lock: BaseFileLock, place: Path, target: Path) -> None:
    """Takes a lock, or says why that cannot be; whoever held it may have ended just now, and its file be gone.

    Raises:
        RunError: if another process holds it, or no file can be made there, as in ``/proc``.
    """
    for _ in range(_LOOKS):
        try:
            lock.acquire(blocking=False)
            return
        except Timeout as error:
            if place.exists():
                raise RunError(
                    f"{target} is being written by {_holder(place)}; wait until that has ended, or stop it"
                ) from error
            time.sleep(_PAUSE)
    raise RunError(f"cannot write {target}: no file can be made in {place.parent}; choose another place")


def _sign(place: Path, target: Path) -> None:
    """Writes into a lock who holds it."""
    try:
        place.write_text(_own_name(), encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {target}: {cause_and_remedy(error, target)}") from error


def _own_name() -> str:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return json.dumps(
        {"process": os.getpid(), "machine": socket.gethostname(), "command": command, "since": since}
    )


def _holder(place: Path) -> str:
    """Who holds a lock, as its file says a moment after it was taken."""
    for _ in range(_LOOKS):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            said = json.loads(place.read_text(encoding="utf-8"))
            return f"process {said['process']} on {said['machine']} since {said['since']} ({said['command']})"
        time.sleep(_PAUSE)
    return "another process"
