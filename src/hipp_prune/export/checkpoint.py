"""One plan of an elastic checkpoint as a checkpoint of its own, which vLLM and all else take that takes pruned ones."""

from pathlib import Path

from hipp_prune.checkpoints.separate import separate_plan
from hipp_prune.export.exported import Exported
from hipp_prune.files.progress import Progress


def export_checkpoint(
    source: Path, out: Path, *, force: bool = False, progress: Progress | None = None
) -> Exported:
    """Writes the checkpoint that ``prune`` would have written of the plan, its neurons in order of importance.

    Args:
        source: folder of the plan.
        out: folder to write.
        force: replace a checkpoint that is already there.
        progress: called with (files written, files).

    Raises:
        HippPruneError: see ``separate_plan``.
    """
    report = separate_plan(source, out, force=force, progress=progress)
    return Exported(path=out, num_bytes=report.bytes_after, bytes_before=report.bytes_before)
