"""Text and JSON files, read back with one sentence for whatever is wrong with them."""

from pathlib import Path
from typing import TypeVar

from hipp_prune.errors import HippPruneError
from hipp_prune.files.manifest import check_whole
from hipp_prune.files.strict import parse_json
from hipp_prune.files.system import cause

LARGEST = 2**28
"""Bytes of a text file; none that we read comes near."""

Kind = TypeVar("Kind")


def read_text(path: Path, *, remedy: str, error: type[HippPruneError]) -> str:
    """The text of a UTF-8 file, without a byte-order mark.

    Raises:
        HippPruneError: ``error``, if it is missing, no regular file, unreadable, larger than ``LARGEST`` or not UTF-8.
        RunError: if we wrote it and it is no longer what we wrote.
    """
    try:
        size = path.stat().st_size
        if not (path.is_file() or path.is_dir()):
            raise error(
                f"{path}: expected a file, found a pipe or a device, which may never end; write what it gives to a "
                "file, and give that"
            )
        if size > LARGEST:
            raise error(f"{path}: expected at most {LARGEST:,} bytes of text, found {size:,}; {remedy}")
        check_whole(path)
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as missing:
        raise error(f"{path} does not exist; {remedy}") from missing
    except UnicodeDecodeError as foreign:
        wide = foreign.object.startswith((b"\xff\xfe", b"\xfe\xff"))
        found = "UTF-16, as its first bytes say" if wide else f"byte {foreign.start} that is none"
        raise error(f"{path}: expected UTF-8 text, found {found}; {remedy}") from foreign
    except OSError as unreadable:
        raise error(f"{path}: expected a readable file, found: {cause(unreadable)}; {remedy}") from unreadable


def read_document(
    path: Path, kind: type[Kind], *, remedy: str, error: type[HippPruneError], foreign: bool = False
) -> Kind:
    """What a JSON file says, as ``kind``; see ``strict.parse_json``.

    Args:
        path: a JSON file.
        kind: what it must hold.
        remedy: what the user can do if it does not, the end of the sentence.
        error: class of the error.
        foreign: whether others define its format, so that undeclared keys are passed over.

    Raises:
        HippPruneError: ``error``, if the file cannot be read or is no ``kind``.
    """
    text = read_text(path, remedy=remedy, error=error)
    return parse_json(text, kind, where=str(path), remedy=remedy, error=error, foreign=foreign)
