"""Whether a value is what annotations declare; written without pydantic, to judge what pydantic let through."""

import collections.abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from annotated_types import Ge, Gt, Le, Len, Lt, MaxLen, Predicate


def misfit(value: object, hint: Any, *, foreign: bool = False, place: str = "") -> str | None:
    """The first part of a value that is not what ``hint`` says, or None.

    Args:
        value: a dataclass, or what JSON says of one.
        hint: its declared type.
        foreign: whether keys that are not declared are nobody's business.
        place: where in a larger value it lies.
    """

    def inside(part: object, its: Any, key: object) -> str | None:
        return misfit(part, its, foreign=foreign, place=f"{place}.{key}")

    origin, arguments = get_origin(hint), get_args(hint)
    wrong = f"{place}: {value!r:.60} is no {hint}"
    if hint is Any:
        return None
    if origin is Annotated:
        inner, *limits = arguments
        return inside(value, inner, "") or next(
            (wrong for limit in limits if not _within(value, limit)), None
        )
    if origin in (Union, UnionType):
        found = [inside(value, member, "") for member in arguments]
        return None if None in found else wrong
    if origin is Literal:
        return None if any(value == each and type(value) is type(each) for each in arguments) else wrong
    if getattr(hint, "_is_protocol", False):
        return misfit(value, type(value), foreign=foreign, place=place)
    if is_dataclass(hint):
        return _misfit_of_fields(value, hint, foreign, place, wrong)
    if origin in _CONTAINERS:
        return _CONTAINERS[origin](value, hint, inside, wrong)
    return None if _is_plain(value, hint) else wrong


def _misfit_of_fields(value: object, hint: Any, foreign: bool, place: str, wrong: str) -> str | None:
    content = value if isinstance(value, Mapping) else vars(value) if isinstance(value, hint) else None
    if content is None:
        return wrong
    hints = get_type_hints(hint, include_extras=True)
    declared = {field.name: hints[field.name] for field in fields(hint)}
    unknown = content.keys() - declared.keys()
    if isinstance(value, Mapping) and unknown and not foreign:
        return f"{place}: unknown keys {sorted(unknown)}"
    return next(
        (
            found
            for name, its in declared.items()
            if name in content
            if (found := misfit(content[name], its, foreign=foreign, place=f"{place}.{name}"))
        ),
        None,
    )


def _misfit_of_entries(value: object, hint: Any, inside: Any, wrong: str) -> str | None:
    if not isinstance(value, Mapping):
        return wrong
    of_keys, of_values = get_args(hint)
    found = (
        inside(part, its, key) for key in value for part, its in ((key, of_keys), (value[key], of_values))
    )
    return next((each for each in found if each), None)


def _misfit_of_items(value: object, hint: Any, inside: Any, wrong: str) -> str | None:
    if not isinstance(value, list | tuple | frozenset):
        return wrong
    arguments = get_args(hint)
    same = get_origin(hint) is not tuple or arguments[-1] is Ellipsis
    if not same and len(value) != len(arguments):
        return wrong
    hints: Sequence[Any] = [arguments[0]] * len(value) if same else arguments
    return next(
        (
            found
            for index, (part, its) in enumerate(zip(value, hints, strict=True))
            if (found := inside(part, its, index))
        ),
        None,
    )


_CONTAINERS = {
    dict: _misfit_of_entries,
    collections.abc.Mapping: _misfit_of_entries,
    list: _misfit_of_items,
    tuple: _misfit_of_items,
    frozenset: _misfit_of_items,
}


def _is_plain(value: object, hint: Any) -> bool:
    if hint is float:
        return type(value) in (float, int) and math.isfinite(value)  # type: ignore[arg-type]
    if hint in (None, NoneType):
        return value is None
    if hint is np.ndarray:
        return isinstance(value, np.ndarray) and bool(np.isfinite(value).all())
    return type(value) is hint if hint in (int, str, bool, bytes) else isinstance(value, hint)


def _within(value: Any, limit: object) -> bool:
    match limit:
        case Ge(ge=least):
            return bool(value >= least)
        case Gt(gt=least):
            return bool(value > least)
        case Le(le=most):
            return bool(value <= most)
        case Lt(lt=most):
            return bool(value < most)
        case MaxLen(max_length=most):
            return len(value) <= most
        case Predicate(func=holds):
            return bool(holds(value))
        case Len(min_length=least, max_length=most):
            return least <= len(value) <= (math.inf if most is None else most)
    return True
