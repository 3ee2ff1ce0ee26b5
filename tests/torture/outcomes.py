"""What a command left: read so that only what a clock or a process says is left out."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from hipp_prune.files.manifest import FILE_LIST
from hipp_prune.stages.check import check

_CLOCK = frozenset({"created", "seconds", "versions", "judging", "latency", "speedup"})
"""Keys whose values are times or machines."""
_PASSING = {"cache", "tensorboard"}
"""Folders of what may be removed at any time, and of what each process writes under a name of its own."""
_TRIAL = re.compile(r'/[^"]*/begun/\d+(?=[/"])')
"""Where a trial ran: another folder each time."""
_TOLERANCE = 1e-6
_FOREIGN = ("torchinductor_", ".ses")
"""What torch and ONNX Runtime leave in a temporary folder."""
Content = dict[str, Any]


def outcome(paths: list[Path], root: Path) -> Content:
    """Everything below some paths, by its place."""
    return {str(path.relative_to(root)): _read(path) for path in _files(paths)}


def differences(found: Content, wanted: Content) -> list[str]:
    """A sentence for each file that is missing, that is too much, or whose content differs."""
    said = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    said += [f"{name} should not be there" for name in sorted(found.keys() - wanted.keys())]
    both = sorted(wanted.keys() & found.keys())
    return said + [f"{name} differs" for name in both if not _alike(found[name], wanted[name])]


def unsound(folder: Path) -> list[str]:
    """What is wrong with folders of ours in ``folder``, and what is left over there from processes that were killed."""
    said = []
    for path in sorted(folder.rglob("*")):
        name = path.name
        if name.startswith(".") and name.endswith((".tmp", ".lock", ".new", ".old")):
            said.append(f"{path.relative_to(folder)} is left over")
    left = [path.name for path in sorted((folder / "tmp").glob("*")) if not path.name.startswith(_FOREIGN)]
    said += [f"tmp/{name} is left over" for name in left]
    tops = [path.parent for path in folder.glob(f"*/{FILE_LIST}")]
    return said + [fault for top in tops for fault in check(top)[1]]


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        for below in sorted(path.rglob("*")):
            if below.is_file() and below.name != FILE_LIST and not _PASSING & {*below.parts}:
                yield below


def _read(path: Path) -> Any:
    match path.suffix:
        case ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        case ".json" | ".jsonl":
            return list(map(_timeless, _documents(_TRIAL.sub(".", path.read_text(encoding="utf-8")))))
        case ".html" | ".md" | ".txt" | ".csv" | ".log" | ".parquet":
            return path.stat().st_size > 0
        case _:
            return path.read_bytes()


def _documents(text: str) -> list[Any]:
    """The one JSON document of a text, or that of every line."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in _CLOCK}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        if one.shape != other.shape:
            return False
        return torch.allclose(one.double(), other.double(), atol=_TOLERANCE, rtol=_TOLERANCE)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(one == other)
