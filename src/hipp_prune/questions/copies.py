"""Files of the same bytes are one picture, whatever they are called: counted once, and never in two groups."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from hipp_prune.files.faults import shown
from hipp_prune.questions.records import warn

_MOST_KEPT = 2**17
"""Files whose digest is remembered: every stage reads the questions again."""


def first_of_copies(pictures: Iterable[Path]) -> dict[Path, Path]:
    """The file that stands for each one: the first of those with its bytes.

    Only files of one size are read, and once while they do not change. What cannot be read stands for itself.
    """
    alike: dict[object, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(pictures):
        alike[_size(path)].append(path)
    firsts: dict[Path, Path] = {}
    for size, paths in alike.items():
        first: dict[object, Path] = {}
        for path in paths:
            told = path if size is None or len(paths) == 1 else _digest(path)
            firsts[path] = first.setdefault(told, path)
    return firsts


def warn_of_copies(pictures: Iterable[Path], place: str) -> None:
    """Says once how many files are copies, of how many pictures.

    Args:
        pictures: files, in the order in which they come up.
        place: of the questions about them.
    """
    firsts = first_of_copies(pictures)
    copied = {first for path, first in firsts.items() if path != first}
    files = [path for path, first in firsts.items() if first in copied]
    if files:
        of = "1 picture" if len(copied) == 1 else f"{len(copied)} pictures"
        copy = next(path for path, first in firsts.items() if path != first)
        warn(
            f"{place}: {len(files)} files are copies of {of}, such as {shown(firsts[copy].name)} and "
            f"{shown(copy.name)}; each counts as one, and is in one split"
        )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # a path with a NUL is no path at all
        return None


def _digest(path: Path) -> object:
    """What tells the bytes of a file; the path where they cannot be read."""
    try:
        seen = path.stat()
        return _read(path.absolute(), seen.st_size, seen.st_mtime_ns)
    except OSError:
        return path


@lru_cache(_MOST_KEPT)
def _read(path: Path, size: int, changed: int) -> str:  # noqa: ARG001
    """The digest of a file that has this size and was changed then."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
