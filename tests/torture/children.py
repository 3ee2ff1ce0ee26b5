"""Commands in processes of their own: forked, so that nothing is imported twice, and killed where it hurts."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hipp_prune.cli import main

RENAMES = ("rename", "replace")
CHANGES = (*RENAMES, "unlink", "remove", "rmdir", "truncate", "ftruncate", "fsync")
"""Calls of ``os`` that make a state of the disk last, or change a name."""


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int
    """Its exit code; −9 where it was killed."""
    said: str
    """Its standard error."""
    changes: tuple[str, ...]
    """Which of ``CHANGES`` it called, in this order, before it ended by itself."""
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether it was killed before it ended by itself."""
        return self.code == -signal.SIGKILL


def run(
    command: Sequence[str], folder: Path, *, kill_at: int | None = None, kill_after: float | None = None
) -> Ending:
    """Runs a command in ``folder``, and waits for its end.

    Args:
        command: words of the command line, without the program.
        folder: where it runs; its temporary files go to ``folder/tmp``.
        kill_at: the process kills itself before this call of ``CHANGES``, counted from 0.
        kill_after: seconds after which it is killed.
    """
    begin = time.monotonic()
    process = start(command, folder, kill_at=kill_at)
    if kill_after is not None:
        _kill_later(process, begin + kill_after)
    return end(process, folder, begin)


def start(command: Sequence[str], folder: Path, *, kill_at: int | None = None, name: str = "command") -> int:
    """Starts a command; returns its process."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        with suppress(OSError):  # the child may have done it, or ended
            os.setpgid(process, process)
        return process
    code = 70
    try:
        code = _child(command, folder, kill_at, name)
    finally:
        os._exit(code)


def end(process: int, folder: Path, begin: float, *, name: str = "command") -> Ending:
    """Waits for a command that ``start`` has started."""
    _, status = os.waitpid(process, 0)
    said, changes = folder / f".{name}.said", folder / f".{name}.changes"
    return Ending(
        code=os.waitstatus_to_exitcode(status),
        said=said.read_text(encoding="utf-8", errors="replace") if said.exists() else "",
        changes=tuple(changes.read_text().split()) if changes.exists() else (),
        seconds=time.monotonic() - begin,
    )


def _child(command: Sequence[str], folder: Path, kill_at: int | None, name: str) -> int:
    os.setpgid(0, 0)
    os.chdir(folder)
    (folder / "tmp").mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(folder / "tmp")
    tempfile.tempdir = os.environ["TMPDIR"]  # the parent has looked up another one
    said = os.open(folder / f".{name}.said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    (folder / f".{name}.changes").unlink(missing_ok=True)
    called: list[str] = []
    for each in CHANGES:
        setattr(os, each, _noted(each, getattr(os, each), called, kill_at))
    try:
        code = main(list(command))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    changes = " ".join(called)
    (folder / f".{name}.changes").write_text(changes)
    return code


def _noted(
    name: str, original: Callable[..., Any], called: list[str], kill_at: int | None
) -> Callable[..., Any]:
    def change(*arguments: Any, **options: Any) -> Any:
        if len(called) == kill_at:
            os.killpg(0, signal.SIGKILL)
        called.append(name)
        return original(*arguments, **options)

    return change


def _kill_later(process: int, moment: float) -> None:
    while time.monotonic() < moment:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return
        time.sleep(0.002)
    os.killpg(process, signal.SIGKILL)
