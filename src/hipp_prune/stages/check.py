"""Whether the files of a run, a comparison or a checkpoint are still what was written."""

from pathlib import Path

from hipp_prune.errors import RunError
from hipp_prune.files.manifest import MANIFEST, faults, own_files


def check(folder: Path) -> tuple[int, list[str]]:
    """Reads every file that we wrote into a folder, and into folders of ours below it.

    Returns:
        How many files there are, and a sentence for each that is missing or has changed.

    Raises:
        RunError: if the folder has no list of the files we wrote, or a list is damaged.
    """
    lists = sorted(folder.rglob(MANIFEST)) if folder.is_dir() else []
    if folder / MANIFEST not in lists:
        raise RunError(
            f"{folder} has no {MANIFEST}, the list of the files we wrote; give a run, a comparison or a checkpoint "
            "that hipp-prune wrote"
        )
    number = sum(len(own_files(path.parent)) for path in lists)
    return number, [fault for path in lists for fault in faults(path.parent)]
