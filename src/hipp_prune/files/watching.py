"""Numbers that change while something works, in event files that TensorBoard reads.

As with logging, whoever has numbers tells them (``watch``), and whoever starts the work decides what becomes of them
(``watching``).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from hipp_prune.files.packages import require_packages

Log = Literal["auto", "tensorboard", "none"]
"""How numbers are kept; auto: as event files, where the package tensorboard is installed."""

_FLUSH_SECONDS = 5


def watch(group: str, step: int, numbers: Mapping[str, float]) -> None:
    """Adds a point to the curve of every number, under ``group/name``; does nothing where nobody watches."""
    events = _watching.get()
    if events is not None:
        events.write(step, {f"{group}/{name}": number for name, number in numbers.items()})


@contextmanager
def watching(folder: Path, log: Log, *, anew: bool = False) -> Iterator[None]:
    """Keeps what is told meanwhile as event files in a folder.

    Nothing is written before the first number. What goes on after it was killed adds a file to those that are there.

    Args:
        folder: e.g. ``RUN/tensorboard/search``.
        log: how the numbers are kept.
        anew: whether event files of an earlier attempt are removed, once there are new numbers.

    Raises:
        InputError: if the package is asked for and is not installed.
    """
    if log == "tensorboard":
        require_packages("--log tensorboard", ("tensorboard",), extra="tensorboard")
    if log == "none" or find_spec("tensorboard") is None:
        yield
        return
    events = _Events(folder, anew=anew)
    before = _watching.set(events)
    try:
        yield
    finally:
        _watching.reset(before)
        events.close()


class _Events:
    """A folder's event file, opened with the first numbers."""

    def __init__(self, folder: Path, *, anew: bool) -> None:
        self.folder, self.anew = folder, anew
        self._writer: Any = None

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Adds a point to each curve."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            for path in self.folder.glob("events.out.tfevents.*") if self.anew else ():
                path.unlink()
            self._writer = SummaryWriter(str(self.folder), flush_secs=_FLUSH_SECONDS)
        for name, number in numbers.items():
            self._writer.add_scalar(name, number, step)

    def close(self) -> None:
        """Writes what is not on the disk yet."""
        if self._writer is not None:
            self._writer.close()


_watching: ContextVar[_Events | None] = ContextVar("watching", default=None)
