"""A run directory: what was asked, what was computed, and how to go on after an interruption.

::

    RUN/
      run.json                  the model, the questions, the seed and the versions (written first)
      calibration.safetensors   statistics of the dense model
      search/                   configuration, archive of evaluations, policy
      latency.json              seconds by block width, where a search saves seconds
      plans/, results/          what ``query`` and ``evaluate`` left here
      report.html

Files are written whole or not at all: to a temporary name, flushed to disk, then renamed.
"""

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError

from hipp_prune.errors import IncompleteRunError, OutputExistsError, RunError

Progress = Callable[[int, int], None]
"""Called with (done, total) units of work; a command line draws it as a bar with the time left."""

_TRACKED = ("hipp-prune", "torch", "transformers", "safetensors", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Who made a result: enough to make it again."""

    model: str
    """What ``--model`` named."""
    questions: tuple[str, ...]
    """The question specifications."""
    seed: int
    created: str
    """UTC, ISO 8601."""
    versions: dict[str, str]
    """Packages, Python and machine."""

    @classmethod
    def now(cls, *, model: str, questions: tuple[str, ...], seed: int) -> "Provenance":
        """Provenance of a run that starts now, here."""
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return cls(model=model, questions=questions, seed=seed, created=created, versions=_versions())


@dataclass(frozen=True)
class RunDirectory:
    """Paths inside a run directory, and whether its stages are complete."""

    root: Path

    @property
    def manifest(self) -> Path:
        """``run.json``."""
        return self.root / "run.json"

    @property
    def calibration(self) -> Path:
        """Statistics of the dense model, written last by ``calibrate``."""
        return self.root / "calibration.safetensors"

    @property
    def search(self) -> Path:
        """Folder of the search."""
        return self.root / "search"

    @property
    def latency(self) -> Path:
        """Seconds by block width, measured by the first search that saves seconds."""
        return self.root / "latency.json"

    @property
    def plans(self) -> Path:
        """Folder of queried plans."""
        return self.root / "plans"

    @property
    def results(self) -> Path:
        """Folder of evaluation results."""
        return self.root / "results"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.root / "report.html"

    @property
    def cache(self) -> Path:
        """Drawn pictures of the embedded world and other things that can be made again."""
        return self.root / "cache"

    def create(self, provenance: Provenance, *, force: bool = False) -> None:
        """Makes the directory and writes its manifest; a calibration that was cut off is started over.

        Raises:
            OutputExistsError: if a run is already there and ``force`` is false.
        """
        if self.root.is_dir() and any(self.root.iterdir()) and not self.manifest.exists():
            raise OutputExistsError(
                f"{self.root} holds files but no run.json, so it is no run directory and is left alone; choose another"
            )
        cut_off = self.manifest.exists() and not self.calibration.exists() and not self.search.exists()
        refuse_existing(self.root, force=force or cut_off)
        self.root.mkdir(parents=True)
        write_json(self.manifest, asdict(provenance))

    def provenance(self) -> Provenance:
        """Reads the manifest.

        Raises:
            IncompleteRunError: if this is no run directory.
        """
        content = read_json(self.manifest, made_by="hipp-prune calibrate … --out RUN")
        try:
            return Provenance(**{**content, "questions": tuple(content["questions"])})
        except (TypeError, KeyError) as error:
            raise IncompleteRunError(
                f"{self.manifest} is not a manifest of this version ({error}); calibrate into a new directory"
            ) from error

    def require(self, path: Path, *, made_by: str) -> Path:
        """Returns ``path`` if it exists.

        Raises:
            IncompleteRunError: if not, naming the command that makes it.
        """
        if not path.exists():
            missing = path.relative_to(self.root)
            raise IncompleteRunError(f"run directory {self.root} has no {missing}; run `{made_by}` first")
        return path


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


def read_json(path: Path, *, made_by: str) -> Any:
    """Reads a JSON file that an earlier stage wrote.

    Raises:
        IncompleteRunError: if it is missing or cut off, naming the command that writes it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise IncompleteRunError(f"{path} does not exist; write it with `{made_by}`") from error
    except ValueError as error:
        raise IncompleteRunError(
            f"{path} is cut off or not JSON ({error}); write it again with `{made_by}`"
        ) from error


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _TRACKED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
