"""A searcher by its name: its settings, the packages it needs, and the function that searches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hipp_prune.files.packages import require_packages
from hipp_prune.search.methods import Method, import_method
from hipp_prune.search.session import Session
from hipp_prune.search.solutions import Solution


@dataclass(frozen=True, kw_only=True)
class Searcher:
    """A way to search, as its module defines it."""

    settings: Mapping[str, Any]
    """What it changes of the defaults, by field of ``SearchSettings``."""
    needs: tuple[str, ...]
    """Packages it imports that an installation without extras leaves out."""
    search: Callable[[Session], Solution]
    """Searches until the session's budget is gone."""


def load_method(method: Method) -> Searcher:
    """Imports the module of a method, and gives what it defines its types.

    Raises:
        InputError: if there is none of that name.
    """
    module = import_method(method)
    return Searcher(settings=module.SETTINGS, needs=getattr(module, "NEEDS", ()), search=module.search)


def require_method(method: Method) -> None:
    """Makes sure that what a method needs is installed.

    Raises:
        InputError: naming what is missing and the command that installs it, or if there is no such method.
    """
    require_packages(f"--method {method}", load_method(method).needs, extra="experiments")
