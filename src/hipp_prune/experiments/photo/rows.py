"""Question files of a rung: pictures beside a file of JSON lines for each task, as ``--questions`` reads them."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hipp_prune.questions.benchmark import Role

PICTURE_FOLDER = "pictures"
"""The folder with the pictures, beside the files."""


@dataclass(frozen=True, kw_only=True)
class OwnRow:
    """A question as a table of one's own holds it; what is None is left out."""

    question: str
    answer: str | None = None
    """None: the dense model's own is the one wanted."""
    choices: tuple[str, ...] | None = None
    image: str | None = None
    group: str | None = None
    role: Role | None = None

    def about(self, picture: str) -> "OwnRow":
        """The same about a picture of this name."""
        return replace(self, image=f"{PICTURE_FOLDER}/{picture}")


def write_rows(path: Path, rows: Iterable[OwnRow]) -> int:
    """Writes a file and returns how many rows it has; each gets its number as its id."""
    lines = [
        json.dumps({"id": f"{path.stem}-{number}"} | {k: v for k, v in asdict(row).items() if v is not None})
        for number, row in enumerate(rows)
    ]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return len(lines)
