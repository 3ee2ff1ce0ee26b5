"""What a run's commands wrote elsewhere: a list that the run keeps, so that its report finds every plan and result.

A line an output, appended, in ``RUN/outputs.jsonl``: ``{"kind": "plan", "path": "/home/me/plan.json"}``.
"""

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from hipp_prune.errors import HippPruneError, IncompleteRunError, RunError
from hipp_prune.files.manifest import note_growing, start_growing
from hipp_prune.files.reading import read_text
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.strict import parse_json
from hipp_prune.files.system import cause_and_remedy

OutputKind = Literal["plan", "result"]


@dataclass(frozen=True, kw_only=True)
class Output:
    """One file that lies outside the folders of its run."""

    kind: OutputKind
    path: str
    """Where it was written, from the root of the file system."""


def list_output(run: RunDirectory, kind: OutputKind, path: Path) -> None:
    """Adds a file to the list of its run, once; what lies in the run's own folders is found without.

    Raises:
        RunError: if the list cannot be written.
    """
    folder = run.plans if kind == "plan" else run.results
    output = Output(kind=kind, path=str(path.resolve()))
    if path.resolve().parent == folder.resolve() or output in read_outputs(run):
        return
    start_growing(run.outputs)
    try:
        with run.outputs.open("a+", encoding="utf-8") as file:
            file.seek(0)
            whole = file.read().rpartition("\n")
            if whole[2]:
                file.truncate(len((whole[0] + whole[1]).encode()))
            file.write(json.dumps(asdict(output)) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(f"cannot write {run.outputs}: {cause_and_remedy(error, run.outputs)}") from error
    note_growing(run.outputs)


def read_outputs(run: RunDirectory) -> list[Output]:
    """What the list of a run names, in the order in which it was written; a line that was cut off is passed over.

    Raises:
        IncompleteRunError: if another line is damaged.
        RunError: if the list is no longer what we wrote.
    """
    if not run.outputs.is_file():
        return []
    accept = f"hipp-prune check {shlex.quote(str(run.root))} --accept"
    remedy = f"delete that line to go on without it, and say so with `{accept}`"
    lines = read_text(run.outputs, remedy=remedy, error=IncompleteRunError).split("\n")[:-1]
    return [
        parse_json(
            line, Output, where=f"{run.outputs}, line {number}", remedy=remedy, error=IncompleteRunError
        )
        for number, line in enumerate(lines, start=1)
    ]


def run_of(kind: OutputKind, path: Path) -> RunDirectory | None:
    """The run whose report finds a file: it lies in the run's own folder, or stands on the list of a run nearby.

    Args:
        kind: what the file is.
        path: where it lies, or is going to.
    """
    around = RunDirectory((path if path.parent.name else path.absolute()).parent.parent)
    own = around.plans if kind == "plan" else around.results
    if path.absolute().parent == own.absolute() and around.manifest.is_file():
        return around
    output = Output(kind=kind, path=str(path.resolve()))
    for run in _runs_near(path):
        with suppress(HippPruneError):  # a damaged list is whoever's that reads the run
            if output in read_outputs(run):
                return run
    return None


def run_of_model(model: str, path: Path) -> RunDirectory | None:
    """The one run that was made of a model, in the current folder or beside a file; None where several are.

    Args:
        model: as ``calibrate --model`` named it.
        path: the file or folder.
    """
    found = []
    for run in _runs_near(path):
        with suppress(HippPruneError):
            found += [run] if run.provenance().model == model else []
    return found[0] if len(found) == 1 else None


def _runs_near(path: Path) -> Iterator[RunDirectory]:
    """Every run directory in the current folder, and then beside a path."""
    seen = set[Path]()
    for folder in (Path(), path.parent):
        for manifest in sorted(folder.glob("*/run.json")):
            if manifest.resolve() not in seen:
                seen.add(manifest.resolve())
                yield RunDirectory(manifest.parent)
