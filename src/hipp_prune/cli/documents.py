"""What ``--json`` prints: what a verb came to, as one JSON document that a script can read."""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

JSON = "--json"
"""Prints one JSON document on standard output and everything else on standard error; may stand anywhere."""


class Ended(Exception):
    """Ends a verb with a status other than 0, and with a result none the less."""

    def __init__(self, result: object, status: int) -> None:
        super().__init__(f"ended with status {status}")
        self.result, self.status = result, status


def document(value: object) -> Any:
    """A result as JSON has it: a dataclass by its fields, or by its method ``document``; what is no number is null."""
    if hasattr(value, "document"):
        return document(value.document())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): document(each) for key, each in value.items()}
    if hasattr(value, "tolist"):
        return document(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [document(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    assert value is None or isinstance(value, str | int | float), f"{type(value).__name__} is no JSON"
    return value


def print_document(value: object, steps: Sequence[str] = ()) -> None:
    """Prints the document on standard output, on a line of its own.

    Args:
        value: a result.
        steps: what was said to be run next: the document's ``next``, where it has names at all and none of its own.
    """
    content = document(value)
    if steps and isinstance(content, dict):
        content.setdefault("next", list(steps))
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")


@contextmanager
def stdout_kept() -> Iterator[None]:
    """Sends to standard error what is printed meanwhile, by libraries and by processes that are started too."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
