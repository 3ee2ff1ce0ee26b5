"""The flag ``--recipe``: a TOML file flattened into flags that stand before the user's own."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hipp_prune.cli.flags import Flag, flags_of
from hipp_prune.errors import InputError
from hipp_prune.files.recipes import read_recipe
from hipp_prune.files.strict import check_value

RECIPE = "recipe"
"""The field of a command that takes one."""
_NOT_IN_A_RECIPE = (RECIPE, "force", "dry-run")
"""What a file cannot ask for: another file, that something is replaced, and that nothing is done."""


def with_recipe(command: type, words: Sequence[str]) -> list[str]:
    """The words with a recipe's in front of them; a flag that the user gives too is taken from the user.

    Args:
        command: the class whose fields are the flags.
        words: the command line behind the verb.

    Raises:
        InputError: if the file is no recipe, or names a flag that the command has not, or one of another type.
    """
    path = _path(words)
    known = dict(flags_of(command))
    if path is None or RECIPE not in known:
        return list(words)
    own = {word.split("=", 1)[0].removeprefix("--").removeprefix("no-").replace("_", "-") for word in words}
    bare = bool(words) and not words[0].startswith("-")
    positional: list[str] = []
    flags: list[str] = []
    for name, value in read_recipe(path).items():
        flag = _known(name, known, path)
        _check(name, value, flag, path)
        if flag.positional:
            positional += [] if bare else [str(value)]
        elif name not in own:
            flags += _words(name, value, flag)
    return [*positional, *flags, *words] if not bare else [words[0], *flags, *words[1:]]


def _path(words: Sequence[str]) -> Path | None:
    flag = f"--{RECIPE}"
    for index, word in enumerate(words):
        if word == flag and index + 1 < len(words):
            return Path(words[index + 1])
        if word.startswith(f"{flag}="):
            return Path(word.removeprefix(f"{flag}="))
    return None


def _known(name: str, known: dict[str, Flag], path: Path) -> Flag:
    if name in known and name not in _NOT_IN_A_RECIPE:
        return known[name]
    names = [each for each in known if each not in _NOT_IN_A_RECIPE]
    near = get_close_matches(name.replace("_", "-"), names, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"a recipe may have {', '.join(names)}"
    raise InputError(f"{path}: expected the name of a flag, found {name!r}; {remedy}")


def _check(name: str, value: object, flag: Flag, path: Path) -> None:
    """Refuses a value of another type than the flag's; its range is the settings' to check."""
    if isinstance(value, dict):
        raise InputError(
            f"{path}: expected {name} to be a value, found a table; write the flags without tables"
        )
    try:
        kind: Any = dict[str, flag.kind]  # type: ignore[name-defined]
        check_value({name: value}, kind, where=str(path), remedy="correct it", error=InputError)
    except TypeError as error:
        raise InputError(f"{path}: expected {name} to be no date, found {value}; correct it") from error


def _words(name: str, value: Any, flag: Flag) -> list[str]:
    """A value as the command line takes it."""
    if isinstance(value, bool):
        said = f"--{name}" if value else f"--no-{name}"
        return [] if value == flag.default else [said]
    if not isinstance(value, list):
        return [f"--{name}={value}"]
    if flag.repeated:
        return [f"--{name}={each}" for each in value]
    return [f"--{name}", *map(str, value)]
