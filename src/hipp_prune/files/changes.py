"""Going on with what was begun, under the settings it was begun with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hipp_prune.errors import RunError


def refuse_changes(path: Path, before: Mapping[str, Any], now: Mapping[str, Any], *, remedy: str) -> None:
    """Refuses to mix results of different settings.

    Args:
        path: file or folder that holds what was begun.
        before: the settings it was begun with.
        now: the settings asked for; in both, tuples count as JSON's lists.
        remedy: what else than repeating the settings helps, e.g. ``add --force to start over``.

    Raises:
        RunError: naming every setting that differs, before and now.
    """
    begun, asked = (
        json.loads(json.dumps(each)) for each in (before, now)
    )  # no file, but what JSON makes of values
    changed = [name for name in sorted({*begun, *asked}) if begun.get(name) != asked.get(name)]
    if changed:
        differences = ", ".join(f"{name} {begun.get(name)!r} → {asked.get(name)!r}" for name in changed)
        raise RunError(
            f"{path} was made with other settings ({differences}); repeat them to go on with it, or {remedy}"
        )
