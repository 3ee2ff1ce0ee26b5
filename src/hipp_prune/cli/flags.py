"""The flags of a command, and what is wrong with words that the parser cannot make flags of."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import tyro

(_POSITIONAL,) = get_args(tyro.conf.Positional[str])[1:]
(_REPEATED,) = get_args(tyro.conf.UseAppendAction[str])[1:]
"""What annotations are marked with."""

_THINGS = ("model", "run", "checkpoint")
"""Flags of some verbs, for what others take first and without a flag."""


_HOME = re.compile(r"(^|^--[\w-]+=|^(?:--[\w-]+=)?[\w-]+:|,\w+=)~(?=/|$)")
"""Where a word may begin with the home folder: itself, or behind ``--flag=``, ``pope:`` or ``,images=``."""


_DASHED = re.compile(r"^(--[\w-]+=)(?=-[A-Za-z_])|^((?:--[\w-]+=)?(?:[\w-]+:)?)\./(?=-)")


def at_home(word: str) -> str:
    """A word with ``~`` spelt out also where no shell does: in a recipe, and behind ``--flag=`` or ``pope:``.

    A path that begins with a dash becomes absolute: commands that are printed name it, where it would be a flag.
    """
    word = _DASHED.sub(lambda found: f"{found[1] or found[2]}{Path.cwd()}/", word)
    return _HOME.sub(lambda found: found[1] + os.path.expanduser("~"), word)  # noqa: PTH111 (raises nothing)


class Flag(NamedTuple):
    """What the command line knows of a flag."""

    kind: Any
    """The type of its values."""
    default: object
    positional: bool
    repeated: bool
    """Whether it is given once for each of its values."""
    needed: bool
    """Whether it has no default."""


def flags_of(command: Any) -> Iterator[tuple[str, Flag]]:
    """Every flag of a command by its name, those of groups among them."""
    kinds, marked = get_type_hints(command), get_type_hints(command, include_extras=True)
    for field in fields(command):
        kind = kinds[field.name]
        if is_dataclass(kind):
            yield from flags_of(kind)
            continue
        marks = get_args(marked[field.name])[1:] if get_origin(marked[field.name]) is Annotated else ()
        named = [mark.name for mark in marks if getattr(mark, "name", None)]
        flag = Flag(
            kind=kind,
            default=None if field.default is MISSING else field.default,
            positional=_POSITIONAL in marks,
            repeated=_REPEATED in marks,
            needed=field.default is MISSING and field.default_factory is MISSING,
        )
        yield (named[0] if named else field.name).replace("_", "-"), flag


def leaves(hint: Any) -> Iterator[Any]:
    """The plain types, and the words of literals, that an annotation is made of."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal or not get_args(hint):
        yield from get_args(hint) or (hint,)
        return
    for part in get_args(hint):
        yield from leaves(part)


def values_of(flags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each value with its flag; a percent sign apart from its number belongs to it."""
    flag = ""
    for index, word in enumerate(flags):
        value = word
        if word.startswith("--"):
            flag, given, value = word.replace("_", "-", word.partition("=")[0].count("_")).partition("=")
            if not given:
                continue
        if not value.startswith("--") and value != "%":
            yield flag, value + "%" * (flags[index + 1 : index + 2] == ["%"])


def misplaced(verb: str, command: Any, words: Sequence[str]) -> str | None:
    """What is wrong with the names of flags: unknown, missing, or not wanted, as a sentence; None if nothing is.

    Args:
        verb: the command's name.
        command: the class whose fields are the flags.
        words: the command line behind the verb.
    """
    flags = dict(flags_of(command))
    if any(map(is_dataclass, (kind for flag in flags.values() for kind in get_args(flag.kind)))):
        return None  # verbs within a verb have flags of their own
    example = _example(command, verb)
    given = [_name(word, flags) for word in words if word.startswith("--")]
    bare = bool(words) and not words[0].startswith("-")
    first = next((name for name, flag in flags.items() if flag.positional), None)
    options = {name: flag for name, flag in flags.items() if not flag.positional}
    for name in given:
        if (
            first is not None
            and not bare
            and name in (first, *first.split("-"), *_THINGS)
            and name not in options
        ):
            return f"{verb} takes the {first.replace('-', ' ')} first, without --{name}; {example}"
        if name not in (*options, "help"):
            return f"{verb} has no flag --{name}; {_meant(name, options, verb)}"
    if first is None and bare:
        return f"{verb} takes flags alone, found {words[0]!r} before them; {example}"
    missing = [f"--{name}" for name, flag in options.items() if flag.needed and name not in given]
    if first is not None and flags[first].needed and not bare:
        article = "an" if first[0] in "aeiou" else "a"
        missing.insert(0, f"{article} {first.replace('-', ' ')} before its flags")
    if missing:
        return f"{verb} needs {', '.join(missing)}; {example}"
    return None


def _name(word: str, flags: Mapping[str, Flag]) -> str:
    """A flag's name, also of one that switches something off."""
    name = word.partition("=")[0].removeprefix("--").replace("_", "-")
    return name if name in flags else name.removeprefix("no-")


def _meant(name: str, options: Iterable[str], verb: str) -> str:
    near = get_close_matches(name, list(options), n=1)
    return f"did you mean --{near[0]}?" if near else f"`hipp-prune {verb} --help` lists its flags"


def _example(command: Any, verb: str) -> str:
    """The first example of the command's help."""
    text = " ".join((command.__doc__ or "").split())
    found = re.search(rf"Examples?: (hipp-prune {verb}\b[^;]*)", text)
    return f"for example `{found[1].strip()}`" if found else f"see `hipp-prune {verb} --help`"
