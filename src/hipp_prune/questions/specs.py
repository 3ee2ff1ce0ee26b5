"""What a user writes to name questions.

=============================================== ==========================================================
``toyworld``                                    the embedded world, drawn once into the cache
``toyworld:DIR``                                the same in a folder of your own, drawn if missing
``photos:FOLDER[,prompt=…]``                    pictures without labels: what the dense model says is the target
``NAME:PATH[,images=DIR][,OPTION=VALUE]``       a benchmark's official file or folder
``FILE``, ``FOLDER`` or ``hf:OWNER/NAME``        a table of questions of your own (``questions.own``), with the options
                                                ``images``, ``columns``, ``split`` and ``config``
=============================================== ==========================================================

Any of them may have a ``weight``: of its benchmarks in the mean over those that serve a role, 1 by default; and a
``count``: at most so many questions of each of its benchmarks in every split, for a quick first try. Tables of your own
and tasks of lmms-eval take a ``role`` too, which all their questions are to serve.

``NAME`` is one of ``questions.benchmarks``, e.g. ``pope`` or ``scienceqa``, whose option ``split`` is a key of
``pid_splits.json``. The corrected edition of a benchmark has an option ``asked``: the edition of that benchmark which
stored answers were asked, where only answers are scored.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.questions.benchmark import ROLES, Role
from hipp_prune.questions.benchmarks import BENCHMARKS, of_role
from hipp_prune.questions.own.benchmarks import OPTIONS
from hipp_prune.questions.own.data_sets import HUB
from hipp_prune.questions.own.places import ENDINGS, instead

TOYWORLD = "toyworld"
"""The source that is no benchmark: it draws the official files of several."""

PHOTOS = "photos"
"""The source of pictures that nobody has labelled."""

OWN = ""
"""The source without a name: a table, whose rows are questions of several benchmarks."""

_BEFORE_AN_OPTION = re.compile(r",(?=\w+=)")
_WEIGHT = "weight"
_COUNT = "count"
_ROLE = "role"
_OF_ANY = (_WEIGHT, _COUNT)
"""Options that every source has."""
_LIGHTEST = 1e-9
"""Least weight of a source; the greatest is its inverse."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source of questions, as ``--questions`` names it: ``NAME:PATH,option=value``."""

    name: str
    """A benchmark, the embedded world, ``PHOTOS``, or ``OWN``."""
    path: Path | None = None
    """The file or folder, or ``hf:owner/name``; None means the toyworld in the cache."""
    options: Mapping[str, str]
    """What follows the path, by name, but for the weight and the count."""
    weight: float = 1.0
    """Of its benchmarks in the mean over those that serve a role, > 0."""
    count: int | None = None
    """At most this many questions a benchmark and split, ≥ 1."""
    role: Role | None = None
    """What all rows of a table count for; None leaves it to the row."""


def parse_source(text: str) -> Source:
    """Reads one source. A path and a prompt may contain colons and commas, but no comma before ``WORD=``.

    Raises:
        QuestionError: unknown name, missing path, or an option the source does not have.
    """
    place, *pairs = _BEFORE_AN_OPTION.split(text)
    name, colon, path = place.partition(":")
    if place == PHOTOS or name not in (TOYWORLD, PHOTOS, *BENCHMARKS):
        name, path = OWN, _own_place(text, place)
    options = _options(text, pairs, allowed_options(name))
    weight, count = _weight(text, options.pop(_WEIGHT, "1")), _count(text, options.pop(_COUNT, None))
    role = _role(text, options.pop(_ROLE, None))
    if not path and (name != TOYWORLD or colon):
        raise QuestionError(f"questions {text!r}: expected a path after '{name}:', found none; add it")
    if (
        name in BENCHMARKS
        and not {*OPTIONS} <= {*BENCHMARKS[name].options}
        and path.endswith((".csv", ".tsv"))
    ):
        raise QuestionError(
            f"questions {text!r}: expected {BENCHMARKS[name].title}'s official files, found a table; a table of your "
            f"own is named alone: {text.removeprefix(f'{name}:')}"
        )
    if name != OWN and role is not None:
        name, role = of_role(name, role), None
    return Source(
        name=name, path=Path(path) if path else None, options=options, weight=weight, count=count, role=role
    )


def with_count(text: str, count: int | None) -> str:
    """A source with at most so many questions a benchmark and split, unless it says itself how many."""
    if parse_source(text).count is not None or count is None:
        return text
    return f"{text},{_COUNT}={count}"


def is_drawn(text: str) -> bool:
    """Whether a source is the embedded world, which has no files until it is drawn."""
    return parse_source(text).name == TOYWORLD


def _own_place(text: str, place: str) -> str:
    """The place of a table of one's own.

    Raises:
        QuestionError: it is none, saying what may have been meant.
    """
    hub = place.startswith(HUB) and "//" not in place
    if hub or (place and (":" not in place or Path(place).exists())):
        return place
    if (meant := instead(place)) is not None:
        raise QuestionError(
            f"questions {text!r}: expected no word before a table of your own; write {text.replace(place, meant)}"
        )
    raise QuestionError(
        f"questions {text!r}: expected {_forms()}, found source {place.partition(':')[0]!r}; write one of these"
    )


def allowed_options(name: str) -> tuple[str, ...]:
    """The options of a source."""
    if name in (TOYWORLD, PHOTOS):
        return ("prompt", *_OF_ANY) if name == PHOTOS else _OF_ANY
    if name == OWN:
        return (*OPTIONS, "images", _ROLE, *_OF_ANY)
    several = len({of_role(name, role) for role in ROLES}) > 1
    return (*BENCHMARKS[name].source_options, *((_ROLE,) if several else ()), *_OF_ANY)


def _options(text: str, pairs: Sequence[str], allowed: Sequence[str]) -> dict[str, str]:
    """Reads ``option=value``."""
    options: dict[str, str] = {}
    for pair in pairs:
        option, _, value = pair.partition("=")
        if option not in allowed or not value or option in options:
            known = " or ".join(f"{option}=…" for option in allowed)
            raise QuestionError(
                f"questions {text!r}: expected {known}, each once, found {pair!r}; correct it"
            )
        options[option] = value
    return options


def _weight(text: str, value: str) -> float:
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if not _LIGHTEST <= weight <= 1 / _LIGHTEST:
        raise QuestionError(
            f"questions {text!r}: expected weight= to be a number from 1e-9 to 1e9, found {value!r}; correct it"
        )
    return weight


def _count(text: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", value):
        raise QuestionError(
            f"questions {text!r}: expected count= to be a whole number from 1 to 999999999, found {shown(value)}; "
            "correct it"
        )
    return int(value)


def _role(text: str, value: str | None) -> Role | None:
    role = next((each for each in ROLES if each == value), None)
    if value != role:
        known = " or ".join(ROLES)
        raise QuestionError(f"questions {text!r}: expected role= to be {known}, found {value!r}; correct it")
    return role


def _forms() -> str:
    """The forms that a source may have."""
    forms = [
        f"{name}:PATH{''.join(f'[,{option}=…]' for option in benchmark.source_options)}"
        for name, benchmark in BENCHMARKS.items()
        if not {*OPTIONS} <= {*benchmark.options}
    ]
    own = f"a table of your own ({ENDINGS}), a FOLDER with one, or {HUB}OWNER/NAME"
    return f"{TOYWORLD}, {TOYWORLD}:DIR, {PHOTOS}:FOLDER[,prompt=…], {', '.join(forms)}, {own}"
