"""How much memory a process takes: what it allocates itself, without files that are mapped into it."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.02
"""Seconds between two looks."""


class Peak:
    """Watches one process while a ``with`` block lasts: Linux's ``RssAnon``, which leaves out the page cache.

    A Gram matrix or a factor that is mapped from a file is the kernel's to drop, and counts nowhere.

    Args:
        process: its id.
    """

    def __init__(self, process: int) -> None:
        self._status = Path(f"/proc/{process}/status")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.start = self.most = self._look()

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_EVERY):
            self.most = max(self.most, self._look())

    def _look(self) -> int:
        """Bytes now; 0 of a process that has ended."""
        try:
            lines = self._status.read_text().splitlines()
        except OSError:
            return 0
        found = [line.split()[1] for line in lines if line.startswith("RssAnon")]
        return 1024 * int(found[0]) if found else 0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a command took."""

    seconds: float
    peak: int
    """Bytes, see ``Peak``."""
    output: str


def run_measured(command: Sequence[str | Path]) -> Measured:
    """Runs a command to its end.

    Raises:
        SystemExit: with what it said, if it failed.
    """
    start = time.perf_counter()
    with (
        subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ},
        ) as process,
        Peak(process.pid) as peak,
    ):
        output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{output}")
    return Measured(seconds=time.perf_counter() - start, peak=peak.most, output=output)
