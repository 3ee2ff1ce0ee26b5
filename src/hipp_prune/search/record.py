"""``search.json``: which search a folder holds, and once it is complete, of which model and for how much."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field

from hipp_prune.errors import IncompleteRunError
from hipp_prune.files.ranges import NotNegative
from hipp_prune.files.reading import read_document
from hipp_prune.plans.space import ModelShape
from hipp_prune.questions.fingerprint import Origin
from hipp_prune.search.settings import SearchSettings

StoredSettings = Annotated[SearchSettings, Field(validation_alias=AliasChoices("settings", "config"))]
"""A search's settings in a file: ``settings``, or ``config`` in those of older versions."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """The price of a search."""

    seconds: NotNegative
    evaluations: NotNegative
    """Of a whole minibatch."""


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """What ``search.json`` says; a search that is not complete has only its settings."""

    settings: StoredSettings
    complete: bool
    shape: ModelShape | None = None
    features: tuple[str, ...] = ()
    """Names of the descriptors of a unit."""
    scale: tuple[NotNegative, NotNegative, NotNegative] | None = None
    """σ of (R_rob, R_util, R_comp)."""
    spent: Spent | None = None
    origin: Origin | None = None
    """The model's weights and the search split."""
    unspent: str | None = None
    """Why not all that it was given was spent; None where it was."""


def read_record(path: Path) -> SearchRecord:
    """What ``search.json`` says of a search: settings, model and questions.

    Raises:
        IncompleteRunError: if it is missing, damaged or of another version.
    """
    return read_document(path, SearchRecord, remedy=search_again(path), error=IncompleteRunError)


def search_again(path: Path) -> str:
    """What to do where a file of a run's search is damaged."""
    return f"search again with `hipp-prune search {shlex.quote(str(path.parent.parent))} --force`"
