"""A recipe: the flags of a command in a TOML file, a line each, under their names on the command line."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hipp_prune.errors import InputError
from hipp_prune.files.reading import read_text

_REMEDY = "correct it, or give the flags themselves"


def read_recipe(path: Path) -> dict[str, Any]:
    """The flags that a recipe names, by their names without dashes in front.

    Raises:
        InputError: if there is no such file, or it is no TOML.
    """
    return parse_recipe(
        read_text(path, remedy="give a recipe, e.g. RUN/recipe.toml", error=InputError), where=str(path)
    )


def parse_recipe(text: str, *, where: str) -> dict[str, Any]:
    """The flags that a recipe's text names.

    Raises:
        InputError: if it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{where}: expected TOML, found an error: {error}; {_REMEDY}") from error


def recipe_text(flags: Mapping[str, Any]) -> str:
    """A recipe of flags by their names: strings, paths, numbers, truths and lists; None stays out, as the default."""
    return "".join(f"{name} = {_written(value)}\n" for name, value in flags.items() if value is not None)


def _written(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_written, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
