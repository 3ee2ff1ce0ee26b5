"""Whether the files of a run, a comparison or a checkpoint are still what was written."""

from pathlib import Path

from hipp_prune.errors import RunError
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.manifest import FILE_LIST, accept_files, faults, listing_folder, own_files


def check(folder: Path) -> tuple[int, list[str]]:
    """Reads every file that we wrote into a folder, and into folders of ours below it.

    Returns:
        How many files there are, and a sentence for each that is missing or has changed.

    Raises:
        RunError: if the folder has no list of the files we wrote, or a list is damaged.
    """
    lists = _lists(folder)
    number = sum(len(own_files(path.parent)) for path in lists)
    return number, [fault for path in lists for fault in faults(path.parent)]


def accept(folder: Path) -> list[Path]:
    """Takes every file of ours in a folder, and in folders of ours below it, as it is now.

    Returns:
        Those that had changed or are missing.

    Raises:
        RunError: as ``check``, or if another process is writing the folder.
    """
    with sole_writer(folder):
        return [changed for path in _lists(folder) for changed in accept_files(path.parent)]


def _lists(folder: Path) -> list[Path]:
    lists = sorted(folder.rglob(FILE_LIST)) if folder.is_dir() else []
    if folder / FILE_LIST not in lists:
        if (whole := listing_folder(folder)) is not None:
            raise RunError(
                f"{folder} is a part of what lies in {whole}; check that: `hipp-prune check {whole}`"
            )
        raise RunError(
            f"{folder} has no {FILE_LIST}, the list of the files we wrote; give a run, a comparison or a checkpoint "
            "that hipp-prune wrote"
        )
    return lists
