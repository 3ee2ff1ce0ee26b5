"""Checks of annotated shapes: what jaxtyping's import hook puts around every function of the maths rooms."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_args

from jaxtyping import AbstractArray
from typeguard import check_type


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that refuses arrays and tensors, given or returned, whose shapes are not what its annotations say.

    Other types are mypy's to check: a wrong name or number is a user's, and gets the function's own sentence.
    """
    signature = inspect.signature(function)
    hints = {name: hint for name, hint in inspect.get_annotations(function).items() if _says_a_shape(hint)}
    if not hints:
        return function

    @wraps(function)
    def call(*positional: Any, **named: Any) -> Any:
        for name, value in signature.bind(*positional, **named).arguments.items():
            if name in hints:
                check_type(value, hints[name])
        result = function(*positional, **named)
        if "return" in hints:
            check_type(result, hints["return"])
        return result

    return call


def _says_a_shape(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_says_a_shape(part) for part in get_args(hint))
