"""The list of the files that we wrote into a folder: only those are ever removed, and each is checked by its SHA-256.

``files.jsonl`` has a line a file written, appended, so that no moment has half a list:
``{"file": "plans/1,0,0.json", "bytes": 812, "sha256": "…", "grows": false, "line": "…"}``; a file that we removed again
has a line without bytes and checksum. ``line`` is the CRC of the line's other entries. A file is noted just *before* it
takes its name, so a process killed in between leaves the file's last state or the one before: either is whole. What
``atomic_path`` writes anywhere below a folder with a list is noted there.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from zlib import crc32

from hipp_prune.errors import RunError
from hipp_prune.files.system import cause_and_remedy

FILE_LIST = "files.jsonl"
_CHUNK = 2**20
_LOOSE = ("plans/", "results/")
"""Folders of a run whose files are written one by one, and depend on nothing else."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """What one line of the list says."""

    file: str
    """Path below the folder, with forward slashes."""
    bytes: int | None
    """Size; None for a file that is gone."""
    sha256: str | None
    """Hexadecimal; None for a file that is gone."""
    grows: bool = False
    """Whether more may have been appended since, as to an archive."""

    def describes(self, path: Path) -> bool:
        """Whether the file at ``path`` is this one, byte for byte, or begins with it if it grows."""
        if self.bytes is None:
            return not path.exists()
        if not path.is_file():
            return False
        size = path.stat().st_size
        fits = size >= self.bytes if self.grows else size == self.bytes
        return fits and digest(path, self.bytes) == self.sha256


def digest(path: Path, size: int | None = None) -> str:
    """SHA-256 of a file, or of its first ``size`` bytes, hexadecimal."""
    found, left = hashlib.sha256(), path.stat().st_size if size is None else size
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, _CHUNK))):
            found.update(chunk)
            left -= len(chunk)
    return found.hexdigest()


def listing_folder(path: Path) -> Path | None:
    """The nearest folder above ``path`` that has a list; None where there is none."""
    return next((folder for folder in path.absolute().parents if (folder / FILE_LIST).is_file()), None)


def start_list(folder: Path) -> None:
    """Makes a folder one of ours: what is written below it is noted from now on.

    Raises:
        RunError: if the place is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE_LIST).touch()
    except OSError as error:
        raise RunError(f"cannot write {folder}: {cause_and_remedy(error, folder)}") from error


def start_growing(path: Path) -> None:
    """Notes a file that is going to be appended to, before its first byte, in the nearest list if there is one.

    Raises:
        RunError: if the place is not writable.
    """
    folder = listing_folder(path)
    if folder is None or (path.exists() and not _is_gone(_noted(folder, path))):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise RunError(f"cannot write {path}: {cause_and_remedy(error, path)}") from error
    line = Note(file=_name(folder, path), bytes=0, sha256=hashlib.sha256().hexdigest(), grows=True)
    _append(folder, line)


def is_own(path: Path) -> bool:
    """Whether a file is one that we wrote, as we wrote it."""
    folder = listing_folder(path)
    return folder is not None and _is_whole(path, _noted(folder, path))


def needed_by(path: Path) -> Path | None:
    """The run, comparison or checkpoint that a file is a part of; None for its plans, its results, and all else."""
    folder = listing_folder(path)
    if folder is None or not _noted(folder, path) or _name(folder, path).startswith(_LOOSE):
        return None
    return folder


def remove_file(path: Path) -> None:
    """Removes a file of ours if it is there, from the nearest list too if there is one.

    Raises:
        RunError: if it cannot be removed.
    """
    if not path.exists():
        return
    folder = listing_folder(path)
    if folder is not None and _noted(folder, path):
        note(folder, _name(folder, path), None)
    try:
        path.unlink()
    except OSError as error:
        raise RunError(f"cannot remove {path}: {cause_and_remedy(error, path)}") from error


def note_all(folder: Path) -> None:
    """Notes every file of a folder that was just written and has no line yet.

    Raises:
        RunError: if the list cannot be written.
    """
    known = read_list(folder)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in known and name != FILE_LIST:
            note(folder, name, path)


def note_growing(path: Path) -> None:
    """Notes what a file that is appended to holds by now, in the nearest list if there is one."""
    folder = listing_folder(path)
    if folder is not None and path.is_file():
        note(folder, _name(folder, path), path, grows=True)


def check_whole(path: Path) -> None:
    """Makes sure that a file is what we wrote, before it is read; one that no list names passes.

    Raises:
        RunError: if it has been changed, cut off or emptied since.
    """
    folder = listing_folder(path)
    if folder is None or not path.is_file():
        return
    lines = _noted(folder, path)
    if lines and not _is_whole(path, lines):
        raise RunError(_sentence(folder, path, lines[-1]))


def check_all(folder: Path) -> None:
    """Makes sure that a folder holds every file that its list names, as we wrote it; one without a list passes.

    A folder without a list of its own is in that of the nearest folder above. What is for people (``*.md``) may change.

    Raises:
        RunError: naming the first file that is missing or has changed.
    """
    listed = folder if (folder / FILE_LIST).is_file() else listing_folder(folder)
    if listed is None:
        return
    below = folder.absolute()
    for name, lines in read_list(listed).items():
        path = listed.absolute() / name
        if path.is_relative_to(below) and path.suffix != ".md" and not _is_whole(path, lines):
            raise RunError(_sentence(listed, listed / name, lines[-1]))


def read_whole(path: Path) -> bytes:
    """The bytes of a file that ``check_whole`` passes.

    Raises:
        RunError: see ``check_whole``.
    """
    check_whole(path)
    return path.read_bytes()


def note(folder: Path, name: str, content: Path | None, *, grows: bool = False) -> None:
    """Adds a line to the list of ``folder``, on the disk before this returns.

    Args:
        folder: whose list; made if need be.
        name: path below the folder of the file that is about to be there, or gone.
        content: a file with its bytes, perhaps under a temporary name; None for a file that is about to be gone.
        grows: whether more is going to be appended.

    Raises:
        RunError: if the list cannot be written.
    """
    line = Note(
        file=name,
        bytes=None if content is None else content.stat().st_size,
        sha256=None if content is None else digest(content),
        grows=grows,
    )
    _append(folder, line)


def read_list(folder: Path) -> dict[str, list[Note]]:
    """What the list of ``folder`` says of each file, oldest first; empty where there is no list.

    A last line that was cut off by a kill is passed over.

    Raises:
        RunError: if another line is damaged.
    """
    path = folder / FILE_LIST
    try:
        state = path.stat()
    except FileNotFoundError:
        return {}
    return _read(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, size: int, time: int) -> dict[str, list[Note]]:  # noqa: ARG001 (keys of the cache)
    """What a list says; read again when its size or its time has changed."""
    content = path.read_bytes()
    found: dict[str, list[Note]] = {}
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        each = _decode(line)
        if each is None:
            raise RunError(
                f"{path}, line {number}: expected a file's name, size and checksum, found a damaged line; restore it"
            )
        found.setdefault(each.file, []).append(each)
    return found


def own_files(folder: Path) -> list[Path]:
    """Files that we wrote into ``folder`` and that are there, the list itself last.

    A file whose last line says that it is gone is still there where we were killed before we removed it.

    Raises:
        RunError: if the list is damaged.
    """
    named = [
        folder / name
        for name, lines in read_list(folder).items()
        if not _is_gone(lines) or (lines[-2:-1] and lines[-2].describes(folder / name))
    ]
    return [path for path in (*named, folder / FILE_LIST) if path.is_file() and not path.is_symlink()]


def foreign_files(folder: Path) -> list[Path]:
    """Everything below ``folder`` that is none of our files, folders that hold nothing else excepted.

    Raises:
        RunError: if the list is damaged.
    """
    ours = set(own_files(folder))
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path not in ours and (path.is_symlink() or not path.is_dir())
    ]


def remove_own(folder: Path, below: str = "", *, keep_list: bool = False) -> None:
    """Removes our files, and the folders that are empty then; whatever else lies there stays.

    Args:
        folder: one with a list.
        below: only what lies below this path in it.
        keep_list: leaves the list, which then says of every file that it is gone.

    Raises:
        RunError: if the list is damaged, or a file cannot be removed.
    """
    top = folder / below
    *ours, listed = own_files(folder) or [folder / FILE_LIST]
    try:
        for path in ours:
            if path.is_relative_to(top):
                if keep_list or below:
                    note(folder, path.relative_to(folder).as_posix(), None)
                path.unlink()
        if not (keep_list or below):
            listed.unlink(missing_ok=True)
        for path in sorted((*top.rglob("*"), top), key=lambda path: -len(path.parts)):
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
    except OSError as error:
        raise RunError(f"cannot remove what lies in {folder}: {cause_and_remedy(error, folder)}") from error


def faults(folder: Path) -> Iterator[str]:
    """One sentence for each of our files that is missing or no longer what we wrote.

    Raises:
        RunError: if the list itself is damaged.
    """
    for name, lines in read_list(folder).items():
        path = folder / name
        if not _is_whole(path, lines):
            yield f"{path}: {_fault(path, lines[-1])}"


def accept_files(folder: Path) -> list[Path]:
    """Takes our files as they are now for what we wrote, and returns those that had changed or are missing.

    Raises:
        RunError: if the list itself is damaged.
    """
    changed = [
        (folder / name, lines[-1].grows)
        for name, lines in read_list(folder).items()
        if not _is_whole(folder / name, lines)
    ]
    for path, grows in changed:
        note(folder, _name(folder, path), path if path.is_file() else None, grows=grows)
    return [path for path, _ in changed]


def _is_gone(lines: Sequence[Note]) -> bool:
    """Whether a file is none of ours: never noted, or removed since."""
    return not lines or lines[-1].bytes is None


def _is_whole(path: Path, lines: Sequence[Note]) -> bool:
    """Whether a file is as its last line says, or, since lines come before names, as the one before that."""
    last = lines[-1:] if lines and lines[-1].grows else lines[-2:]
    return any(each.describes(path) for each in last)


def _name(folder: Path, path: Path) -> str:
    return path.absolute().relative_to(folder.absolute()).as_posix()


def _noted(folder: Path, path: Path) -> list[Note]:
    return read_list(folder).get(_name(folder, path), [])


def _append(folder: Path, line: Note) -> None:
    """Adds a line; one that a full disk has cut off goes first."""
    try:
        with (folder / FILE_LIST).open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
            if file.read(1) not in (b"", b"\n"):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            file.write(_encode(line))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(f"cannot write {folder / FILE_LIST}: {cause_and_remedy(error, folder)}") from error


def _sentence(folder: Path, path: Path, line: Note) -> str:
    return (
        f"{path} is not what we wrote ({_fault(path, line)}); bring it back from a copy, or make it again; if you "
        f"changed it on purpose, say so with `hipp-prune check {folder} --accept`"
    )


def _fault(path: Path, line: Note) -> str:
    if line.bytes is None:
        return "expected it to be gone, found a file that we did not write"
    if not path.is_file():
        return f"expected {line.bytes:,} bytes, found no file"
    if path.stat().st_size != line.bytes and not (line.grows and path.stat().st_size > line.bytes):
        return f"expected {line.bytes:,} bytes, found {path.stat().st_size:,}"
    return "expected the bytes we wrote, found others: SHA-256 differs"


def _encode(line: Note) -> bytes:
    fields = asdict(line)
    return json.dumps({**fields, "line": _check(fields)}).encode() + b"\n"


def _decode(line: bytes) -> Note | None:
    """The note in a line; None for a damaged one."""
    try:
        pairs = json.loads(line, object_pairs_hook=list)
        fields = dict(pairs)
        if len(fields) < len(pairs):  # a key twice
            return None
        claimed = fields.pop("line")
        return Note(**fields) if claimed == _check(fields) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _check(fields: dict[str, object]) -> str:
    return f"{crc32(json.dumps(fields).encode()):08x}"
