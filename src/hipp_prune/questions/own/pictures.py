"""A cell that holds a picture: the path of a file, or its bytes, which are written into the cache once."""

import hashlib
import os
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath, PureWindowsPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.files.manifest import start_list
from hipp_prune.files.writing import atomic_path
from hipp_prune.questions.own.columns import PICTURE_ENDINGS, in_memory
from hipp_prune.questions.own.table import empty, row_error
from hipp_prune.questions.records import CORRECT_OR_SKIP

if TYPE_CHECKING:
    from PIL.Image import Image

FOLDER = "pictures"
"""Below the cache."""
_LONGEST_PATH = 1024
_CODES = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR", "Qk")
"""How JPEG, PNG, GIF, WebP and BMP begin in base64."""
_SHORTEST_CODE = 100
"""Characters of the smallest picture in base64; a path that begins alike is shorter."""


@dataclass(frozen=True, kw_only=True)
class PictureCells:
    """Where pictures of a table lie, and where those without a file of their own are written."""

    home: Path | None
    """The folder that paths start from; None where only absolute ones can be."""
    cache: Path
    """Bytes become files in a folder of it, called after their content."""
    need_images: bool
    """False where no picture is opened; nothing is looked for or written then."""

    def find(self, cell: object, where: str) -> Path | None:
        """The file of a picture; None for an empty cell.

        Args:
            cell: a path, bytes, a picture of PIL, or what a data set has for one: a mapping of ``bytes`` and ``path``.
            where: the row, for a sentence.

        Raises:
            QuestionError: it is something else.
            ImageError: there is no such file.
            RunError: if the cache cannot be written.
        """
        if isinstance(cell, list) and len(cell) == 1:
            cell = cell[0]
        name = ""
        if isinstance(cell, Mapping) and cell.keys() <= {"bytes", "path"}:
            name = cell.get("path") or ""
            cell = cell.get("bytes") or name
        if empty(cell):
            return None
        if isinstance(cell, bytes):
            return self._kept(cell, name)
        if in_memory(cell):
            return self._kept(_encoded(cell, where), "memory.png")
        if isinstance(cell, str) and (content := _encoded_text(cell)) is not None:
            return self._kept(content, "")
        if isinstance(cell, str | Path):
            return self._file(str(cell), where)
        raise row_error(where, "one picture, as a path or as bytes", shown(cell))

    def _file(self, text: str, where: str) -> Path:
        if text.startswith("file://"):
            text = url2pathname(urlsplit(text).path)
        if "://" in text:
            raise ImageError(
                f"{where}: expected the path of a picture, found the address {shown(text)}; download it first, or "
                "skip bad records"
            )
        if len(text) > _LONGEST_PATH or "\0" in text:
            raise row_error(where, "the path of a picture", shown(text))
        if PureWindowsPath(text).drive and os.sep == "/":
            raise row_error(where, "the path of a picture on this computer", f"one of Windows, {shown(text)}")
        path = Path(text)
        if not path.is_absolute():
            if self.home is None:
                raise QuestionError(
                    f"{where}: expected the bytes of a picture or an absolute path, found {shown(text)}; say where "
                    f"its pictures lie with images=DIR, or {CORRECT_OR_SKIP}"
                )
            path = self.home / path
            if "\\" in text and not _is_file(path):  # written on Windows
                path = self.home / PureWindowsPath(text).as_posix()
        if self.need_images and not _is_file(path):
            raise ImageError(
                f"{where}: expected a picture at {path}, found none; {CORRECT_OR_SKIP}, or say where pictures lie "
                "with images=DIR"
            )
        return path

    def _kept(self, content: bytes, name: str) -> Path:
        """The file that holds these bytes: written whole, once, under their hash."""
        suffix = PurePath(name).suffix.lower()
        suffix = suffix if suffix in PICTURE_ENDINGS else ""
        path = self.cache / FOLDER / f"{hashlib.sha256(content).hexdigest()}{suffix}"
        if self.need_images and not path.is_file():
            start_list(path.parent)  # of its own, so that they outlive what a run removes when it starts
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
        return path


def _encoded_text(text: str) -> bytes | None:
    """The bytes of a picture that is written as text, as ``data:image/png;base64,…`` or plainly; None for any other."""
    head, comma, content = text.partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        content = text
        if len(text) < _SHORTEST_CODE or not text.startswith(_CODES):
            return None
    try:
        return b64decode(content, validate=True)
    except ValueError:
        return None


def _encoded(picture: "Image", where: str) -> bytes:
    """A picture in memory as the bytes of a file."""
    from hipp_prune.questions.images import in_rgb

    file = BytesIO()
    in_rgb(picture, where).save(file, "png", compress_level=1)
    return file.getvalue()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False
