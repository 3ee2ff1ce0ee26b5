"""Every file of a run and a checkpoint flipped, cut, emptied and removed in turn: found by ``check`` and on reading."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from hipp_prune.calibration.measurement import Calibration
from hipp_prune.errors import HippPruneError
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.manifest import FILE_LIST, own_files
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models import load_model
from hipp_prune.plans.plan import Plan
from hipp_prune.search.archive import Archive
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.record import read_record
from hipp_prune.stages.check import check
from tests.torture.tally import Tally

DAMAGES: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "flipped": lambda content, rng: _flipped(content, rng),
    "cut": lambda content, rng: content[: rng.randrange(len(content))],
    "emptied": lambda content, rng: b"",  # noqa: ARG005
    "removed": lambda content, rng: None,  # noqa: ARG005
}


def damage(folder: Path, rng: random.Random) -> Iterator[Tally]:
    """Damages every file of ours below a sound folder, one at a time, and brings it back.

    A cut that leaves the archive or the list of files with whole lines only is what an earlier state looks like, and
    an emptied list is none: those are counted as found where ``check`` says so all the same.
    """
    assert check(folder)[1] == []
    lists = sorted(folder.rglob(FILE_LIST))
    paths = [path for listed in lists for path in own_files(listed.parent) if path.name != FILE_LIST]
    for path in paths:
        content = path.read_bytes()
        for name, change in DAMAGES.items():
            if not content and name != "removed":
                continue
            _put(path, change(content, rng))
            where = f"{path.relative_to(folder.parent)}, {name}"
            yield Tally(
                kind="damage", name=name, faults=[] if _found(folder) else [f"{where}: not found by check"]
            )
            read = reader(folder, path)
            if read is not None:
                yield Tally(kind="reading", name=name, faults=list(_accepted(read, where)))
        _put(path, content)
    assert check(folder)[1] == []


def reader(folder: Path, path: Path) -> Callable[[], object] | None:
    """What reads a file of a run or of a checkpoint; None for what nothing reads again, or makes again if need be."""
    run = RunDirectory(folder)
    readers: dict[Path, Callable[[], object]] = {
        run.manifest: run.provenance,
        run.calibration: lambda: Calibration.load(run.calibration),
        run.search.record: lambda: read_record(run.search.record),
        run.search.archive: lambda: run.search.archive.stat() and list(Archive(run.search.archive)),
        run.search.planner: lambda: Planner.load(run.search.planner),
    }
    if path in readers:
        return readers[path]
    if path.parent == run.plans:
        return lambda: Plan.load(path)
    if path.parent == run.results:
        return lambda: Scorecard.load(path)
    if (folder / "config.json").exists() or path.name == "config.json":
        return None if path.suffix == ".md" else lambda: load_model(folder)
    return None


def _accepted(read: Callable[[], object], where: str) -> Iterator[str]:
    try:
        read()
    except (HippPruneError, FileNotFoundError):
        return
    except Exception as error:  # noqa: BLE001 that is what is counted
        yield f"{where}: {type(error).__name__}: {error}"
        return
    yield f"{where}: was read as if nothing had happened"


def _found(folder: Path) -> bool:
    try:
        return bool(check(folder)[1])
    except HippPruneError:
        return True


def _flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
