"""What was tried of transformers' families, as the contract tests found it: a table that ships with the package.

``python -m tests.try_families`` writes it from tiny models, and the table of ``docs/families.md`` with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hipp_prune.errors import CheckpointError
from hipp_prune.files.reading import read_document
from hipp_prune.models.family import Capability

TRIED_FILE = Path(__file__).with_name("tried.json")

FamilyStanding = Literal["tested", "by discovery", "refused"]
"""A row of the table of families; found fit by its structure; or refused before anything is written."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A family, and what came of trying a tiny model of it."""

    model_type: str
    """transformers' name."""
    name: str
    """As its authors write it; the ``model_type`` of one outside the table."""
    standing: FamilyStanding
    reason: str = ""
    """Why it is refused."""
    remarks: tuple[str, ...] = ()
    """What else was found."""
    cannot: Mapping[Capability, str]
    """Why something is not possible; empty for a refused one."""


def tried_families() -> tuple[Tried, ...]:
    """The table, tested families first."""
    return read_document(TRIED_FILE, tuple[Tried, ...], remedy="reinstall hipp-prune", error=CheckpointError)
