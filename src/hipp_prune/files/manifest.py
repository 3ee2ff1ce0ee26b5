"""The list of the files that we wrote into a folder: only those are ever removed, and each is checked by its SHA-256.

``files.jsonl`` has a line a file written, appended, so that no moment has half a list:
``{"file": "plans/1,0,0.json", "bytes": 812, "sha256": "…", "line": "…"}``; a file that we removed again has a line
without bytes and checksum. ``line`` is the CRC of the line's other entries. A file is noted just *before* it takes its
name, so a process killed in between leaves the file's last state or the one before: either is whole.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

from hipp_prune.errors import RunError

MANIFEST = "files.jsonl"
_CHUNK = 2**20


@dataclass(frozen=True, kw_only=True)
class Note:
    """What one line of the list says."""

    file: str
    """Path below the folder, with forward slashes."""
    bytes: int | None
    """Size; None for a file that is gone."""
    sha256: str | None
    """Hexadecimal; None for a file that is gone."""

    def describes(self, path: Path) -> bool:
        """Whether the file at ``path`` is this one, byte for byte."""
        if self.bytes is None:
            return not path.exists()
        return path.is_file() and path.stat().st_size == self.bytes and digest(path) == self.sha256


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def note(folder: Path, name: str, content: Path | None) -> None:
    """Adds a line to the list of ``folder``, on the disk before this returns.

    Args:
        folder: whose list; made if need be.
        name: path below the folder of the file that is about to be there, or gone.
        content: a file with its bytes, perhaps under a temporary name; None for a file that is about to be gone.

    Raises:
        RunError: if the list cannot be written.
    """
    line = Note(
        file=name,
        bytes=None if content is None else content.stat().st_size,
        sha256=None if content is None else digest(content),
    )
    try:
        with (folder / MANIFEST).open("ab") as file:
            file.write(_encode(line))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(f"cannot write {folder / MANIFEST}: {error.strerror or error}; free space") from error


def notes(folder: Path) -> dict[str, list[Note]]:
    """What the list of ``folder`` says of each file, oldest first; empty where there is no list.

    A last line that was cut off by a kill is passed over.

    Raises:
        RunError: if another line is damaged.
    """
    path = folder / MANIFEST
    content = path.read_bytes() if path.is_file() else b""
    found: dict[str, list[Note]] = {}
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        each = _decode(line)
        if each is None:
            raise RunError(
                f"{path}, line {number}: expected a file's name, size and checksum, found a damaged line"
            )
        found.setdefault(each.file, []).append(each)
    return found


def own_files(folder: Path) -> list[Path]:
    """Files that we wrote into ``folder`` and that are there, the list itself last.

    Raises:
        RunError: if the list is damaged.
    """
    named = [folder / name for name, lines in notes(folder).items() if lines[-1].bytes is not None]
    return [path for path in (*named, folder / MANIFEST) if path.is_file() and not path.is_symlink()]


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


def remove_own(folder: Path) -> None:
    """Removes our files, and the folders that are empty then; whatever else lies there stays.

    Raises:
        RunError: if the list is damaged, or a file cannot be removed.
    """
    ours = own_files(folder)
    try:
        for path in ours:
            path.unlink()
        for path in sorted((*folder.rglob("*"), folder), key=lambda path: -len(path.parts)):
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
    except OSError as error:
        raise RunError(f"cannot remove what lies in {folder}: {error.strerror or error}") from error


def faults(folder: Path) -> Iterator[str]:
    """One sentence for each of our files that is missing or no longer what we wrote.

    Raises:
        RunError: if the list itself is damaged.
    """
    for name, lines in notes(folder).items():
        path = folder / name
        if any(each.describes(path) for each in lines[-2:]):
            continue
        size = lines[-1].bytes
        if size is None:
            yield f"{path}: expected it to be gone, found a file that we did not write"
        elif not path.is_file():
            yield f"{path}: expected {size:,} bytes, found no file"
        elif path.stat().st_size != size:
            yield f"{path}: expected {size:,} bytes, found {path.stat().st_size:,}"
        else:
            yield f"{path}: expected the bytes we wrote, found others (SHA-256 differs)"


def _encode(line: Note) -> bytes:
    fields = asdict(line)
    return json.dumps({**fields, "line": _check(fields)}).encode() + b"\n"


def _decode(line: bytes) -> Note | None:
    """The note in a line; None for a damaged one."""
    try:
        fields = json.loads(line)
        claimed = fields.pop("line")
        return Note(**fields) if claimed == _check(fields) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _check(fields: dict[str, object]) -> str:
    return f"{crc32(json.dumps(fields).encode()):08x}"
