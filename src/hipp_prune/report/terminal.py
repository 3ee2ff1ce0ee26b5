"""Progress bars with the time left, and how numbers are shown to people."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hipp_prune.distributed import speaks
from hipp_prune.files.progress import Progress as ProgressCallback

console = Console(quiet=not speaks())
"""Results go here, standard output; of several workers only the first one prints."""

notes = Console(stderr=True, quiet=not speaks())
"""Bars and remarks go here, standard error, so that results can be piped."""


@contextmanager
def progress_bars(*descriptions: str) -> Iterator[list[ProgressCallback]]:
    """Yields a callback (done, total) for each of several bars, with the time spent and the time left."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=notes) as bar:
        tasks = [bar.add_task(description, total=None) for description in descriptions]
        yield [_advance(bar, task) for task in tasks]


@contextmanager
def progress_bar(description: str) -> Iterator[ProgressCallback]:
    """One of ``progress_bars``."""
    with progress_bars(description) as (callback,):
        yield callback


def _advance(bar: Progress, task: TaskID) -> ProgressCallback:
    return lambda done, total: bar.update(task, completed=done, total=total)
