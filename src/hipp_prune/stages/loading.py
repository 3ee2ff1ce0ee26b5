"""How a model is loaded, what a calibrated run starts with, and where pictures are drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hipp_prune import distributed
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.splits import Split
from hipp_prune.stages.settings import LoadSettings


def load(model: str | Path, loading: LoadSettings = LoadSettings()) -> Adapter:
    """Loads a model.

    Raises:
        UnsupportedModelError, CheckpointError: see ``load_model``.
    """
    return load_model(
        model, device=loading.device, dtype=loading.dtype, trust_remote_code=loading.trust_remote_code
    )


@dataclass(frozen=True)
class CalibratedRun:
    """A run directory that has been calibrated."""

    directory: RunDirectory
    provenance: Provenance

    @classmethod
    def open(cls, root: Path) -> "CalibratedRun":
        """Finds out what a run is of.

        Raises:
            IncompleteRunError: if it is no run directory, or has not been calibrated.
        """
        directory = RunDirectory(root)
        provenance = directory.provenance()
        directory.require(directory.calibration, made_by=f"hipp-prune calibrate … --out {root} --force")
        return cls(directory, provenance)

    def calibration(self) -> Calibration:
        """The statistics of the dense model."""
        return Calibration.load(self.directory.calibration)

    def questions(self, split: Split, *, skip_bad: SkipBad | None = None) -> list[Question]:
        """The questions of a split; of several workers, the first one draws pictures that are not there yet."""
        asked, seed = self.provenance.questions, self.provenance.seed
        with distributed.first():
            return load_questions(asked, split, cache=self.directory.cache, seed=seed, skip_bad=skip_bad)


def meet(directory: RunDirectory) -> None:
    """Waits for all workers and makes sure that they see one run directory.

    Raises:
        RunError: naming a worker that sees another.
    """
    distributed.barrier()
    manifest = directory.manifest.read_bytes() if directory.manifest.exists() else b""
    distributed.agree(f"the run directory {directory.root}", manifest)


@contextmanager
def cache_folder(cache: Path | None) -> Iterator[Path]:
    """``cache``, or a temporary folder that is gone afterwards."""
    if cache is not None:
        yield cache
        return
    with TemporaryDirectory(prefix="hipp-prune-") as folder:
        yield Path(folder)
