"""Numbers that change while something works: in event files that TensorBoard reads, or told to Weights & Biases.

As with logging, whoever has numbers tells them (``watch``), and whoever starts the work decides what becomes of them
(``watching``).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from hipp_prune.files.packages import require_packages

Log = Literal["auto", "tensorboard", "wandb", "none"]
"""How numbers are kept; auto: as event files, where the package tensorboard is installed. ``wandb`` sends them to
whatever server that package is logged in at, or keeps them where ``WANDB_MODE=offline``."""

_FLUSH_SECONDS = 5


def watch(group: str, step: int, numbers: Mapping[str, float]) -> None:
    """Adds a point to the curve of every number, under ``group/name``; does nothing where nobody watches."""
    curves = _watching.get()
    if curves is not None:
        curves.write(step, {f"{group}/{name}": number for name, number in numbers.items()})


def check_log(log: Log) -> None:
    """Refuses what needs a package that is not installed, before any work is done.

    Raises:
        InputError: naming it, and the command that installs it.
    """
    if log in ("tensorboard", "wandb"):
        require_packages(f"--log {log}", (log,), extra=log)


@contextmanager
def watching(folder: Path, log: Log, *, anew: bool = False) -> Iterator[None]:
    """Keeps what is told meanwhile, as event files in a folder or as a run of Weights & Biases.

    Nothing is written before the first number. What goes on after it was killed adds a file to those that are there.

    Args:
        folder: e.g. ``RUN/tensorboard/search``.
        log: how the numbers are kept.
        anew: whether event files of an earlier attempt are removed, once there are new numbers.

    Raises:
        InputError: if the package is asked for and is not installed.
    """
    check_log(log)
    if log == "none" or (log == "auto" and find_spec("tensorboard") is None):
        yield
        return
    curves: _Curves = _Told(folder) if log == "wandb" else _Events(folder, anew=anew)
    before = _watching.set(curves)
    try:
        yield
    finally:
        _watching.reset(before)
        curves.close()


class _Curves(Protocol):
    """Where points go."""

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Adds a point to each curve."""

    def close(self) -> None:
        """Keeps what is not kept yet."""


class _Events:
    """A folder's event file, opened with the first numbers."""

    def __init__(self, folder: Path, *, anew: bool) -> None:
        self.folder, self.anew = folder, anew
        self._writer: Any = None

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """See ``_Curves``."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            for path in self.folder.glob("events.out.tfevents.*") if self.anew else ():
                path.unlink()
            self._writer = SummaryWriter(str(self.folder), flush_secs=_FLUSH_SECONDS)
        for name, number in numbers.items():
            self._writer.add_scalar(name, number, step)

    def close(self) -> None:
        """See ``_Curves``."""
        if self._writer is not None:
            self._writer.close()


class _Told:
    """A run of Weights & Biases, begun with the first numbers: ``FOLDER/STAGE`` of the project hipp-prune."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run: Any = None

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """See ``_Curves``."""
        if self._run is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"{self.folder.absolute().parent.parent.name}/{self.folder.name}"
            self._run = import_module("wandb").init(project="hipp-prune", name=name, dir=str(self.folder))
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """See ``_Curves``."""
        if self._run is not None:
            self._run.finish()


_watching: ContextVar[_Curves | None] = ContextVar("watching", default=None)
