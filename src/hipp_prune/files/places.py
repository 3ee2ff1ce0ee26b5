"""What somebody gave us instead of what a command takes, and which command they may have meant."""

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from itertools import count
from pathlib import Path

_HEAD = 4096
"""Bytes of a file that tell what it is."""
_SHOWN = 5
"""Names in a folder that a sentence shows."""


def found_instead(path: Path, remedy: str, *, among: Sequence[str] = ()) -> str:
    """What lies at a path that is not what was expected there, or that nothing does, and what to do about it.

    Args:
        path: what was given.
        remedy: what to do where nothing better is known.
        among: names that may have been meant besides those which lie beside it.

    Returns:
        The second half of a sentence.
    """
    if path.is_symlink() and not path.exists():
        return f"{path} is a link that leads nowhere; remove it or choose another place"
    if not path.exists():
        near = _near(path, among)
        return f"there is no {path}; " + (f"did you mean {near}?" if near else remedy)
    known = described(path)
    if known is not None:
        return known if ";" in known else f"{known}; {remedy}"
    if _kind(path.absolute().parent) is not None:
        return f"{path} is only a part of what lies in {path.parent}; did you mean {path.parent}?"
    inside = sorted(each.name for each in path.iterdir())
    holds = f"a folder of {', '.join(inside[:_SHOWN])}{', …' if len(inside) > _SHOWN else ''}"
    return f"{path} is {holds if inside else 'an empty folder'}; {remedy}"


def described(path: Path) -> str | None:
    """What lies at a path, with the command that takes such a thing; None for a folder that none of our commands wrote.

    Returns:
        The beginning of a sentence, as ``run is a run directory; … with `hipp-prune …```.
    """
    kind = (_kind if path.is_dir() else _file)(path) if path.exists() else None
    return None if kind is None else f"{path} is {kind}"


def _kind(path: Path) -> str | None:
    """What a folder holds, by the file that tells it."""
    name = shlex.quote(str(path))
    searched = (path / "search" / "planner.safetensors").is_file()
    kinds = {
        "run.json": f"a run directory; write a checkpoint of it with `hipp-prune prune --run {name} --preference 1,1,1 "
        "--out smaller`"
        if searched
        else f"a run directory that has not been searched; go on with `hipp-prune search {name}`",
        "compare.json": f"a comparison; see {path / 'compare.html'}, or write its tables anew with `hipp-prune compare "
        f"--out {name} --tables`",
        "bench.json": f"a search benchmark; see {path / 'curves.html'}",
        "world.json": f"an embedded world; ask it with `--questions toyworld:{name}`",
        "vision_encoder.onnx": f"an ONNX export; run it with `python {path / 'generate.py'}`",
        "config.json": f"a checkpoint; score it with `hipp-prune evaluate --model {name} --questions toyworld`",
    }
    return next((kind for file, kind in kinds.items() if (path / file).is_file()), None)


def _file(path: Path) -> str:
    """What a file holds, by its beginning."""
    name = shlex.quote(str(path))
    if not path.is_file():
        return "a pipe or a device"
    if path.suffix == ".gguf":
        return "a file for llama.cpp"
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if b'"kept"' in head and b'"unit"' in head:
        command = f"hipp-prune prune --model {_model_of(path)} --plan {name} --out smaller"
        return f"a plan; write its checkpoint with `{command}`"
    if b'"label"' in head and b'"results"' in head:
        return f"what `hipp-prune evaluate --out` wrote; score it again with `hipp-prune evaluate --answers {name}`"
    if path.name in ("run.json", "config.json", "compare.json", "bench.json"):
        return f"a file; did you mean {path.parent}?"
    return "a file"


def unused_name(name: str) -> str:
    """The name for something new, or with a number if something is there already."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(each for each in names if not Path(each).exists())


def _model_of(plan: Path) -> str:
    """The model that a plan was made for, as far as it says."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return shlex.quote(str(json.loads(plan.read_bytes())["notes"]["model"]))
    return "MODEL"


def _near(path: Path, among: Sequence[str]) -> Path | None:
    """What has almost the same name."""
    beside: list[str] = []
    with suppress(OSError):
        beside = [
            each.name for each in path.parent.iterdir() if each.exists() and not each.name.startswith(".")
        ]
    near = get_close_matches(path.name, [*among, *beside], n=1)
    return next((Path(name) if name in among else path.parent / name for name in near), None)
