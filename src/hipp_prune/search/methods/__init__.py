"""The searchers: this folder is their table, a module is a method and its file's name the method's.

Every module has ``SETTINGS``, what it changes of the defaults of ``SearchSettings``, and ``search(session)``, which
pays for evaluations through the session and returns what answers queries. One that imports packages which an
installation without extras leaves out names them in ``NEEDS``. Naming the methods imports none of them;
``search.searchers`` gives what a module has its types.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Literal

from hipp_prune.errors import InputError
from hipp_prune.files.modules import load_module, module_names

METHODS = module_names(__name__)
"""What ``--method`` may name: the modules of this folder."""

if TYPE_CHECKING:
    Method = str
else:
    Method = Literal[METHODS]


def import_method(method: Method) -> ModuleType:
    """Imports the module of a method, which holds its settings and what it searches by.

    Raises:
        InputError: if there is none of that name.
    """
    if method not in METHODS:
        raise InputError(f"there is no search method {method!r}; choose one of {', '.join(METHODS)}")
    return load_module(__name__, method, "SETTINGS", "search")
