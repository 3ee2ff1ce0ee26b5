"""The rung of drawn scenes: our own tower, and a projector that says the word that each patch stands for."""

from itertools import islice
from pathlib import Path
from typing import ClassVar, cast

from hipp_prune.experiments.photo import assembly
from hipp_prune.experiments.photo.drawn import Collection, write_collection
from hipp_prune.experiments.photo.rung import Rung
from hipp_prune.files.progress import Progress
from hipp_prune.questions.toyworld.scenes import scenes

_FITTED = 400
"""Scenes the projector is fitted on."""


class DrawnRung(Rung):
    """A question file a task."""

    collections: ClassVar[tuple[str, ...]] = ("training", "questions")

    def write(self, name: str, folder: Path, progress: Progress | None) -> dict[str, int]:
        """See ``drawn``."""
        del progress
        return write_collection(folder, cast("Collection", name), self.settings)

    def assemble(self, folder: Path) -> str:
        """See ``assembly``."""
        model, tokenizer = self.load_language()
        made = assembly.assemble(model, tokenizer, seed=self.settings.seed)
        shown = list(islice(scenes(self.settings.seed, "photo projector"), _FITTED))
        explained = assembly.fit_projector(made, tokenizer, shown)
        assembly.save_assembled(made, tokenizer, folder)
        return f"explains {explained:.3f} of its words' variance over {_FITTED} scenes"

    @property
    def taught(self) -> list[str]:
        """A file a task."""
        return [str(self.out / "training" / f"{task}.jsonl") for task in self.settings.tasks]

    @property
    def asked(self) -> list[str]:
        """A file a task."""
        return [str(self.out / "questions" / f"{task}.jsonl") for task in self.settings.tasks]
