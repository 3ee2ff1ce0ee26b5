"""How a model is loaded, and where pictures are drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """How a model is loaded."""

    device: str = "cpu"
    """``cpu``, ``cuda``, ``cuda:1`` …; ``auto`` splits a model over several GPUs."""
    dtype: str = "auto"
    """``float32``, ``bfloat16``, ``float16``; ``auto`` keeps the checkpoint's."""
    trust_remote_code: bool = False
    """Whether code that comes with the checkpoint may run; our own pruned checkpoints never need it here."""

    def load(self, model: str | Path) -> Adapter:
        """Loads a model.

        Raises:
            UnsupportedModelError, CheckpointError: see ``load_model``.
        """
        return load_model(
            model, device=self.device, dtype=self.dtype, trust_remote_code=self.trust_remote_code
        )


DEFAULT_LOADING = LoadSettings()
"""On the CPU, in the checkpoint's own precision."""


@contextmanager
def cache_folder(cache: Path | None) -> Iterator[Path]:
    """``cache``, or a temporary folder that is gone afterwards."""
    if cache is not None:
        yield cache
        return
    with TemporaryDirectory(prefix="hipp-prune-") as folder:
        yield Path(folder)
