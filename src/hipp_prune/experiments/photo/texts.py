"""English prose that every Python brings along: what general ability is measured on, and what may be calibrated on.

Held out is the language reference (``pydoc``'s topics); general are docstrings of the standard library. Neither is
taught; both are cut to the paragraphs that are prose.
"""

import ast
import pydoc_data.topics
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

HELD_OUT, GENERAL = "held-out.txt", "general.txt"
"""The files, in a folder of their own."""
_SHORTEST = 200
"""Characters of a paragraph; shorter ones are headings and lists."""
_PROSE = 0.9
"""Share of its characters that must be letters and spaces."""
_MODULES = ("argparse", "asyncio", "collections", "concurrent", "ctypes", "datetime", "decimal", "difflib",
    "doctest", "email", "enum", "fractions", "heapq", "http", "importlib", "inspect", "json", "logging", "mailbox",
    "multiprocessing", "optparse", "pathlib", "pickle", "random", "re", "shutil", "smtplib", "socket", "sqlite3",
    "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap", "threading", "tkinter", "turtle",
    "typing", "unittest", "urllib", "uuid", "warnings", "xml", "zipfile")  # fmt: skip
"""Of the standard library: enough prose for a thousand windows."""


def write_texts(folder: Path) -> dict[str, int]:
    """Writes both files into an empty folder; returns their characters."""
    texts = {HELD_OUT: pydoc_data.topics.topics.values(), GENERAL: _docstrings()}
    counts = {}
    for name, parts in texts.items():
        text = "\n\n".join(dict.fromkeys(prose(parts)))
        (folder / name).write_text(text + "\n", encoding="utf-8")
        counts[name] = len(text)
    return counts


def prose(texts: Iterable[str]) -> Iterator[str]:
    """Their paragraphs that are prose, a line each."""
    for text in texts:
        for paragraph in text.replace("\r", "").split("\n\n"):
            line = " ".join(paragraph.split())
            letters = sum(sign.isalpha() or sign == " " for sign in line)
            if len(line) > _SHORTEST and letters / len(line) > _PROSE:
                yield line


def _docstrings() -> Iterator[str]:
    library = Path(sysconfig.get_paths()["stdlib"])
    for name in _MODULES:
        place = library / name
        paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for path in paths:
            if path.is_file():
                yield from _of_file(path)


def _of_file(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
