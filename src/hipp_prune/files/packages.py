"""Packages that only some commands need, and that an installation without extras leaves out."""

from collections.abc import Sequence
from importlib.util import find_spec

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
