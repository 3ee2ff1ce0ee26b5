"""Folders that are tables: a module of a package is an entry, its file name the entry's name (no torch)."""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType


def module_names(package_name: str) -> tuple[str, ...]:
    """The names of the modules in a package's folder, sorted; none of them is imported.

    ``_`` becomes ``-``, as on a command line; modules whose name begins with ``_`` are left out.

    Args:
        package_name: dotted, e.g. ``hipp_prune.search.methods``.
    """
    spec = find_spec(package_name)
    assert spec is not None, f"there is no package {package_name}"
    names = (module.name for module in iter_modules(spec.submodule_search_locations))
    return tuple(sorted(name.replace("_", "-") for name in names if not name.startswith("_")))


def load_module(package_name: str, name: str, *members: str) -> ModuleType:
    """Imports one module of a package's folder, and makes sure that it defines what every module there must.

    Args:
        package_name: dotted, e.g. ``hipp_prune.search.methods``.
        name: one of ``module_names(package_name)``.
        members: what the module must define.
    """
    module = import_module(f"{package_name}.{name.replace('-', '_')}")
    missing = [member for member in members if not hasattr(module, member)]
    assert not missing, (
        f"{module.__file__} must define {', '.join(missing)}, as every module of {package_name}"
    )
    return module
