"""The dense model of a run, which may have been named from another folder than later commands are given in."""

from pathlib import Path

from hipp_prune.errors import CheckpointError
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models.loading import find_source


def dense_model(run: RunDirectory) -> str:
    """The name or path of the model that a run was calibrated on, as ``calibrate`` was given it.

    Raises:
        IncompleteRunError: if it is no run directory.
        CheckpointError: if it is a path, and no model lies there.
    """
    name = run.provenance().model
    try:
        find_source(name)
    except CheckpointError as error:
        if Path(name).is_absolute():
            raise
        raise CheckpointError(
            f"{run.root} was calibrated on the model {name}, which is not found from {Path.cwd()}; go to the folder in "
            "which `hipp-prune calibrate` was given, or bring the model back"
        ) from error
    return name
