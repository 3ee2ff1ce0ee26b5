"""A cell that holds pictures: of each the path of a file, or its bytes, which are written into the cache once."""

import hashlib
import os
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePath, PureWindowsPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.files.faults import shown, shown_place
from hipp_prune.files.manifest import start_list
from hipp_prune.files.strict import sound_json
from hipp_prune.files.writing import atomic_path
from hipp_prune.questions.own.columns import PICTURE_ENDINGS, PICTURES_ONLY, VIDEO_ENDINGS, in_memory
from hipp_prune.questions.own.table import SEPARATOR, empty, row_error
from hipp_prune.questions.records import CORRECT_OR_SKIP, OR_SKIP

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
    _listed_folders: dict[Path, dict[str, Path]] = field(default_factory=dict, repr=False, compare=False)
    """By folder: what ``_pictures_by_name`` found; each is listed once, however many of its pictures are missing."""

    def find(self, cell: object, where: str) -> tuple[Path, ...]:
        """The files of the pictures that a cell shows, in their order; none of an empty one.

        Args:
            cell: a path, bytes, a picture of PIL, or what a data set has for one: a mapping of ``bytes`` and ``path``;
                a list of these, also as JSON, or paths between bars.
            where: the row, for a sentence.

        Raises:
            QuestionError: it is something else.
            ImageError: there is no such file.
            RunError: if the cache cannot be written.
        """
        found = [self._find(each, where) for each in self._listed(cell, where)]
        if len(found) > 1 and None in found:
            raise row_error(where, "a picture in every place of the list", "an empty one")
        return tuple(path for path in found if path is not None)

    def _listed(self, cell: object, where: str) -> Sequence[object]:
        """The pictures of a cell: several in a list, in one as JSON, or between bars where no file is called so."""
        if not isinstance(cell, str):
            return cell if isinstance(cell, list) else [cell]
        if cell.lstrip().startswith("["):
            read = sound_json(cell, where=f"{where}, image", remedy=CORRECT_OR_SKIP, error=QuestionError)
            return read if isinstance(read, list) else [read]
        if SEPARATOR not in cell or (self.home is not None and _is_file(self.home / cell)):
            return [cell]
        return [each.strip() for each in cell.split(SEPARATOR)]

    def _find(self, cell: object, where: str) -> Path | None:
        """The file of one picture; None of an empty cell."""
        name = ""
        if isinstance(cell, Mapping) and cell.keys() <= {"bytes", "path"}:
            name = cell.get("path") or ""
            cell = cell.get("bytes") or name
        if empty(cell):
            return None
        if (
            PurePath(name or (str(cell) if isinstance(cell, str | Path) else "")).suffix.lower()
            in VIDEO_ENDINGS
        ):
            raise row_error(where, PICTURES_ONLY, f"the video {shown(name or str(cell))}")
        if isinstance(cell, bytes):
            return self._kept(cell, name)
        if in_memory(cell):
            return self._kept(_encoded(cell, where), "memory.png")
        if isinstance(cell, str) and (content := _encoded_text(cell)) is not None:
            return self._kept(content, "")
        if isinstance(cell, str | Path):
            return self._file(str(cell), where)
        raise row_error(where, "a picture, as a path or as bytes, or a list of pictures", shown(cell))

    def _file(self, text: str, where: str) -> Path:
        if text.startswith("file://"):
            text = url2pathname(urlsplit(text).path)
        if "://" in text:
            raise ImageError(
                f"{where}: expected the path of a picture, found the address {shown(text)}; download it first, "
                f"{OR_SKIP}"
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
            if not _is_file(path) and _is_file(self.home / text.strip()):  # a space behind the comma
                path = self.home / text.strip()
            if "\\" in text and not _is_file(path):  # written on Windows
                path = self.home / PureWindowsPath(text).as_posix()
        if self.need_images and not _is_file(path):
            meant = self._meant(path)
            found = "none" if meant is None else f"{shown_place(meant)} instead"
            raise ImageError(
                f"{where}: expected a picture at {shown_place(path)}, found {found}; {CORRECT_OR_SKIP}, or say where "
                "pictures lie with images=DIR"
            )
        return path

    def _meant(self, path: Path) -> Path | None:
        """The picture whose name is this one but for capitals or an ending; None where there is none."""
        folder = path.parent
        if folder not in self._listed_folders:
            self._listed_folders[folder] = _pictures_by_name(folder)
        return self._listed_folders[folder].get(path.name.casefold())

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


def _pictures_by_name(folder: Path) -> dict[str, Path]:
    """What lies in a folder, by its name without regard to capitals, pictures also by that without the ending."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # no such folder
        return {}
    found: dict[str, Path] = {}
    for each in entries:
        found.setdefault(each.name.casefold(), each)
        if each.suffix.lower() in PICTURE_ENDINGS:
            found.setdefault(each.stem.casefold(), each)
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False
