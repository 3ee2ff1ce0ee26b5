"""Words where the parser takes only some: which they are, and which one was meant."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from hipp_prune.cli.flags import flags_of, leaves, values_of


def mischosen(command: Any, words: Sequence[str]) -> str | None:
    """The first value that is none of those which its flag takes, and the nearest of them, as a sentence.

    Args:
        command: the class whose fields are the flags.
        words: the command line behind the verb.
    """
    known = dict(flags_of(command))
    first = next((name for name, flag in known.items() if flag.positional), "")
    for name, value in values_of(words):
        flag = known.get(name.removeprefix("--") or first)
        choices = (
            [] if flag is None else [leaf for leaf in leaves(flag.kind) if leaf not in (..., type(None))]
        )
        named = [choice for choice in choices if isinstance(choice, str)]
        if (
            not named
            or value in map(str, choices)
            or not all(isinstance(each, str | None) for each in choices)
        ):
            continue
        near = get_close_matches(value, named, n=1)
        remedy = f"did you mean {near[0]}?" if near else "choose one of these"
        return f"expected {name or first} to be {' or '.join(named)}, found {value!r}; {remedy}"
    return None
