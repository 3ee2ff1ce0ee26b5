"""What the fuzzer knows of a reader."""

from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WITHOUT_VALUES = (".csv", ".tsv", ".toml", ".txt", ".parquet", ".header")
"""Ends of names of files that hold no JSON, or JSON that another library reads."""


@dataclass(frozen=True, kw_only=True)
class Seed:
    """One reader's valid files."""

    name: str
    write: Callable[[Path], None]
    """Writes them into an empty folder."""
    kinds: Mapping[str, Any]
    """The files that are damaged, by name, and the type that each declares; None where it has none of its own."""
    read: Callable[[Path, str], object]
    """Reads the damaged file, given the folder and its name."""
    result: Any = None
    """The declared type of what ``read`` returns; None where the files' say enough."""
    foreign: Collection[str] = ()
    """The files that may hold keys that nobody declares, and numbers that are not finite there."""
    weight: float = 1.0
    """Of its share of the time: what reads many files a second is given more."""
    lines: Mapping[str, bool] = field(default_factory=dict)
    """The files that hold a JSON value a line, and whether a last line without its end counts."""

    def values(self, name: str, content: bytes) -> list[str]:
        """The JSON values of a file that was accepted."""
        if name.endswith(WITHOUT_VALUES):
            return []
        if name not in self.lines:
            return [content.decode("utf-8-sig")]
        rows = content.removeprefix(BOM_UTF8).split(b"\n")
        return [row.decode() for row in (rows if self.lines[name] else rows[:-1]) if row.strip()]
