"""Progress bars with the time left, and how numbers are shown to people."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hipp_prune.run import Progress as ProgressCallback

console = Console()
"""Results go here, standard output."""

notes = Console(stderr=True)
"""Bars and remarks go here, standard error, so that results can be piped."""


@contextmanager
def progress_bar(description: str) -> Iterator[ProgressCallback]:
    """Yields a callback (done, total) that draws a bar with the time spent and the time left."""
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
        task = bar.add_task(description, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance
