"""The searchers: this folder is their table, a module is a method and its file's name the method's.

Every module has ``SETTINGS``, what it changes of the defaults of ``SearchSettings``, and ``search(session)``, which
pays for evaluations through the session and returns what answers queries. One that imports packages which an
installation without extras leaves out names them in ``NEEDS``. Naming the methods imports none of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hipp_prune.errors import InputError
from hipp_prune.files.modules import load_module, module_names
from hipp_prune.files.packages import require_packages

if TYPE_CHECKING:
    from hipp_prune.search.session import Session
    from hipp_prune.search.solutions import Solution

METHODS = module_names(__name__)
"""What ``--method`` may name: the modules of this folder."""

if TYPE_CHECKING:
    Method = str
else:
    Method = Literal[METHODS]


@dataclass(frozen=True, kw_only=True)
class Searcher:
    """A way to search, as its module defines it."""

    settings: Mapping[str, Any]
    """What it changes of the defaults, by field of ``SearchSettings``."""
    needs: tuple[str, ...]
    """Packages it imports that an installation without extras leaves out."""
    search: "Callable[[Session], Solution]"
    """Searches until the session's budget is gone."""


def load_method(method: Method) -> Searcher:
    """Imports the module of a method, and what it defines.

    Raises:
        InputError: if there is none of that name.
    """
    if method not in METHODS:
        raise InputError(f"there is no search method {method!r}; choose one of {', '.join(METHODS)}")
    module = load_module(__name__, method, "SETTINGS", "search")
    return Searcher(settings=module.SETTINGS, needs=getattr(module, "NEEDS", ()), search=module.search)


def require_method(method: Method) -> None:
    """Makes sure that what a method needs is installed.

    Raises:
        InputError: naming what is missing and the command that installs it, or if there is no such method.
    """
    require_packages(f"--method {method}", load_method(method).needs, extra="experiments")
