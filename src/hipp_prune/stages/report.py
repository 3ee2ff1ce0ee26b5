"""A page of what a run found."""

from pathlib import Path

from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.report.page import write_report


def report(run: Path, *, force: bool = False) -> Path:
    """Writes ``report.html`` of a run and returns its path.

    Args:
        run: a run directory.
        force: replaces a page that somebody changed.

    Raises:
        OutputExistsError: if there is a page that is not as we wrote it, and ``force`` is false.
        IncompleteRunError: if this is no run directory.
    """
    return write_report(RunDirectory(run), force=force)
