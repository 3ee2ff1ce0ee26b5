"""A page to choose a plan of a searched run in."""

from pathlib import Path

from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.report.explorer import write_explorer


def explore(run: Path, out: Path | None = None, *, force: bool = False) -> Path:
    """Writes the page, into the run if no other place is given, and returns its path.

    Args:
        run: a searched run directory.
        out: the page.
        force: replaces another file that is there.

    Raises:
        IncompleteRunError: if the run has not been searched.
        OutputExistsError: if another file is there and ``force`` is false.
    """
    directory = RunDirectory(run)
    directory.provenance()
    return write_explorer(directory, out, force=force)
