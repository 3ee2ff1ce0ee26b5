"""What one rung has of its own; ``build`` does for all of them what they have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hipp_prune.experiments.photo.settings import PhotoSettings
from hipp_prune.experiments.smollm2 import load_smollm2, require_smollm2
from hipp_prune.files.progress import Progress
from hipp_prune.recovery.pictures import Shows

Language = Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerBase]]
"""Gives the language model and its tokenizer."""


@dataclass(frozen=True, kw_only=True)
class Rung(ABC):
    """Folders of pictures and questions, and how the model looks before and while it learns."""

    out: Path
    """The rung's folder."""
    settings: PhotoSettings
    language: Language | None = None
    """Gives another language model than SmolLM2, e.g. for a test."""

    collections: ClassVar[tuple[str, ...]]
    """Folders that are written before anything is assembled, in order."""

    def require(self) -> None:
        """Makes sure that nothing is missing of which the model is assembled, before any work is done.

        Raises:
            InputError: if a package is not installed.
        """
        if self.language is None:
            require_smollm2(self.out)

    def load_language(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The language model and its tokenizer."""
        return load_smollm2(self.out) if self.language is None else self.language()

    @abstractmethod
    def write(self, name: str, folder: Path, progress: Progress | None) -> dict[str, int]:
        """Makes the pictures and questions, or the maps, of a collection.

        Args:
            name: which one.
            folder: empty, takes its place afterwards.
            progress: told (pictures done, pictures in all) where that takes minutes.

        Returns:
            How many there are of what, for the log.
        """

    @abstractmethod
    def assemble(self, folder: Path) -> str:
        """Writes the untrained model into an empty folder; returns what is to be said of its projector."""

    @property
    @abstractmethod
    def taught(self) -> list[str]:
        """Sources of the questions that are taught."""

    @property
    @abstractmethod
    def asked(self) -> list[str]:
        """Sources of the questions that are asked."""

    @property
    def features(self) -> Shows | None:
        """What the model sees of the pictures while it learns; None for what it will always see of them."""
        return None
