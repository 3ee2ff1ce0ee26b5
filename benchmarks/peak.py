"""How much memory a process needs: what it allocates, and the weights that it has mapped from a checkpoint."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY, _MAPPED_EVERY = 0.02, 0.25
"""Seconds between two looks at what a process allocates, and at what it has mapped, which takes longer."""


class Peak:
    """Watches one process while a ``with`` block lasts, by Linux's ``/proc``.

    Counted is ``RssAnon``, and of files only what is mapped from ``weights``: a Gram matrix or a factor that is mapped
    is the kernel's to drop.

    Args:
        process: its id.
        weights: folder of a checkpoint.
    """

    def __init__(self, process: int, weights: Path | None = None) -> None:
        self._process = Path(f"/proc/{process}")
        self._weights = None if weights is None else str(weights.resolve())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._taken = 0.0
        self.start = self.most = self._allocated() + self._mapped()

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def processor(self) -> float:
        """Processor seconds that watching itself has taken, of this process."""
        ident = self._thread.ident
        if ident is not None and self._thread.is_alive():
            return time.clock_gettime(time.pthread_getcpuclockid(ident))
        return self._taken

    def _watch(self) -> None:
        mapped, looked = self._mapped(), time.monotonic()
        while not self._done.wait(_EVERY):
            if self._allocated() + mapped <= self.most:
                continue
            if time.monotonic() - looked > _MAPPED_EVERY:  # what is written to moves from one to the other
                mapped, looked = self._mapped(), time.monotonic()
                self.most = max(self.most, self._allocated() + mapped)
            elif self._weights is None:
                self.most = max(self.most, self._allocated())
        self._taken = time.thread_time()

    def _allocated(self) -> int:
        """Bytes now; 0 of a process that has ended."""
        return sum(_kibibytes(line) for line in self._lines("status") if line.startswith("RssAnon"))

    def _mapped(self) -> int:
        """Bytes of the weights' files that are resident as they are; pages that were written to are allocated."""
        total, inside = 0, False
        for line in self._lines("smaps") if self._weights is not None else ():
            if "-" in line.split(maxsplit=1)[0]:
                inside = f"{self._weights}/" in line
            elif inside and line.startswith("Rss:"):
                total += _kibibytes(line)
            elif inside and line.startswith("Anonymous:"):
                total -= _kibibytes(line)
        return total

    def _lines(self, name: str) -> list[str]:
        try:
            return (self._process / name).read_text().splitlines()
        except OSError:
            return []


def _kibibytes(line: str) -> int:
    return 1024 * int(line.split()[1])


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a command took."""

    seconds: float
    peak: int
    """Bytes, see ``Peak``."""
    output: str


def run_measured(command: Sequence[str | Path], weights: Path | None = None, *, status: int = 0) -> Measured:
    """Runs a command to its end; ``weights`` as for ``Peak``.

    Raises:
        SystemExit: with what it said, if it ended otherwise than with ``status``.
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
        Peak(process.pid, weights) as peak,
    ):
        output, _ = process.communicate()
    if process.returncode != status:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{output}")
    return Measured(seconds=time.perf_counter() - start, peak=peak.most, output=output)
