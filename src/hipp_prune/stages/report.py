"""A page of what a run found."""

from pathlib import Path

from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.report.page import write_report


def report(run: Path) -> Path:
    """Writes ``report.html`` of a run and returns its path.

    Raises:
        IncompleteRunError: if this is no run directory.
    """
    return write_report(RunDirectory(run))
