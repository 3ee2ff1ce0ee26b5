"""What nobody foresaw, as one sentence: the last resort between an exception and the user."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from hipp_prune.files.system import cause, cause_and_remedy

NO_ADDRESS = "where you got hipp-prune from, as its CONTRIBUTING.md says"
"""Where faults are reported as long as ``pyproject.toml`` names no ``Issues`` under ``[project.urls]``."""

_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
"""How torch and the system say in words that memory is short."""


def mishap(error: Exception, words: Sequence[str], command: object = None) -> tuple[str, int]:
    """What went wrong and what to do, without a traceback, and the exit status: 2 where the user can mend it, else 1.

    Args:
        error: none of ``errors``.
        words: the command line, without the program's name.
        command: what they mean; None where that was not found out.
    """
    said = cause(error)
    if isinstance(error, MemoryError) or any(words in said.lower() for words in _MEMORY):
        return f"there is too little memory ({said or 'MemoryError'}); {_smaller(_flags(command))}", 2
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error), 2
    again = shlex.join(["hipp-prune", *words, "--debug"])
    sentence = (
        f"something unforeseen happened ({type(error).__name__}: {said or 'no more is said'}); nothing already "
        f"computed is lost; `{again}` shows where it was, please report that {_reporting()}"
    )
    return sentence, 1


def _flags(command: object) -> dict[str, object]:
    """What a command was told, by the names of its fields, those of its groups among them."""
    if not is_dataclass(command):
        return {}
    told: dict[str, object] = {}
    for field in fields(command):
        value = getattr(command, field.name)
        told |= _flags(value) if is_dataclass(value) else {field.name: value}
    return told


def _smaller(told: Mapping[str, object]) -> str:
    """Which of a command's own flags make it need less memory."""
    less = []
    match told:
        case {"batch_size": int(batch)} if batch > 1:
            less.append(f"--batch-size {batch // 2}")
    match told:
        case {"image_memory": float(gigabytes)} if gigabytes > 0:
            less.append(f"--image-memory {gigabytes / 2:g}")
    match told:
        case {"dtype": "auto" | "float32"}:
            less.append("--dtype bfloat16")
    return f"{' or '.join(less)} needs less" if less else "end other programs, or use a machine that has more"


def _of_the_system(error: OSError) -> str:
    if not error.filename:
        return f"the system says: {cause_and_remedy(error)}"
    return f"{error.filename}: the system says: {cause_and_remedy(error, Path(os.fsdecode(error.filename)))}"


def _reporting() -> str:
    """Where faults are reported: at the address that the package's metadata gives, if it gives one."""
    try:
        urls = metadata("hipp-prune").get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    addresses = dict(str(url).split(", ", 1) for url in urls)
    return f"at {addresses['Issues']}" if "Issues" in addresses else NO_ADDRESS
