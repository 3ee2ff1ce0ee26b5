"""What a page holds that can be run: its fenced blocks of ``bash`` and ``python``, and what comments say of them.

A comment of its own line before a block says what is not plain from the block; readers do not see it:

- ``<!-- given: run smaller -->``: the block begins in a new folder, in which these lie;
- ``<!-- slow: … -->``: ``make test-docs`` runs it; ``make test`` leaves it out, with what follows in its folder;
- ``<!-- run by: FILE -->``: another test, or CI, runs it;
- ``<!-- not run: needs … -->``: nobody runs it here, for this reason.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = ("bash", "python")
WRITTEN_APART = {"CONTRIBUTING.md": ("python", "sh")}
"""Languages that another test reads and runs from a page: ``tests/contract/test_contributing.py``."""

_FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"^ *<!-- (given|slow|run by|not run): (.*?) -->$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block, and what is said of it."""

    page: str
    line: int
    """Of its first line in the page, from 1."""
    section: str
    """The heading above it."""
    language: str
    text: str
    notes: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether it is for the test of pages to run."""
        return self.language in LANGUAGES and not {"run by", "not run"} & set(self.notes)


def blocks(path: Path) -> Iterator[Block]:
    """Every fenced block of a page that this mechanism answers for, in the page's order."""
    page = path.read_text(encoding="utf-8")
    end = 0
    for found in _FENCE.finditer(page):
        notes = dict(_NOTE.findall(page[end : found.start()].rpartition("\n\n")[2]))
        end = found.end()
        if found[2] in WRITTEN_APART.get(path.name, ()):
            continue
        indent = len(found[1])
        yield Block(
            page=path.name,
            line=page.count("\n", 0, found.start()) + 2,
            section="".join(re.findall(r"^##? (.*)$", page[: found.start()], re.MULTILINE)[-1:]),
            language=found[2],
            text="".join(line[indent:] for line in found[3].splitlines(keepends=True)),
            notes=notes,
        )


def stories(path: Path) -> list[list[Block]]:
    """Blocks that are run one after the other in one folder: those of a section, or from a ``given`` on."""
    told: list[list[Block]] = []
    for block in filter(lambda block: block.runs, blocks(path)):
        if not told or block.section != told[-1][-1].section or "given" in block.notes:
            told.append([])
        told[-1].append(block)
    return told


def commands(text: str) -> list[list[str]]:
    """Words of each command of a block of bash, without comments and the variables set before it."""
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [[word for word in words if not re.match(r"[A-Z_]+=", word)] for words in lines if words]
