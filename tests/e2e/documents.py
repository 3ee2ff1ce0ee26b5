"""What ``--json`` printed, read as a script reads it."""

import json
import shlex
from typing import Any

from hipp_prune.cli.entry import parse


def last_document(printed: str) -> dict[str, Any]:
    """The document that standard output consists of, in its one line; every command that comes ``next`` is parsed."""
    (line,) = printed.splitlines()
    document: dict[str, Any] = json.loads(line)
    for command in document.get("next", []):
        program, *words = shlex.split(command)
        assert program == "hipp-prune", command
        parse(words)
    return document
