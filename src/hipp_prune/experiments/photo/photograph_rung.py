"""The rung of photographs: a tower trained on ImageNet, and a projector that says the names of what it detects."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

import torch
from torch import Tensor
from transformers import EfficientNetModel

from hipp_prune.experiments.photo import photographs
from hipp_prune.experiments.photo.assembly import word_embeddings
from hipp_prune.experiments.photo.detectors import (
    FOLDS,
    Names,
    fit_detectors,
    heard,
    mixed,
    set_projector,
)
from hipp_prune.experiments.photo.eyes import give_eyes, save_eyes
from hipp_prune.experiments.photo.imagenet import directions
from hipp_prune.experiments.photo.maps import read_maps, write_maps
from hipp_prune.experiments.photo.rung import Rung
from hipp_prune.experiments.photo.tower import lite2_classifier, load_lite2, require_lite2
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.benchmarks.pope import BENCHMARK
from hipp_prune.recovery.pictures import Show, Shows

_MAPS = "maps"
"""The collection of what the tower says of the pictures that are taught."""


@dataclass(frozen=True, kw_only=True)
class PhotographRung(Rung):
    """POPE's questions about photographs."""

    tower: Callable[[], EfficientNetModel] | None = None
    """Gives another tower than EfficientNet-Lite2, e.g. for a test."""

    collections: ClassVar[tuple[str, ...]] = (*photographs.COLLECTION_WRITERS, _MAPS)

    def require(self) -> None:
        """Needs the tower's package too, and photographs enough."""
        super().require()
        if self.tower is None:
            require_lite2()
        photographs.divided(self.settings)

    def write(self, name: str, folder: Path, progress: Progress | None) -> dict[str, int]:
        """See ``photographs`` and ``maps``."""
        if name != _MAPS:
            return photographs.COLLECTION_WRITERS[name](folder, self.settings)
        tower = self._tower()
        side = tower.config.image_size
        assert isinstance(side, int), "the tower's pictures are squares"
        pictures = sorted((self.out / "training" / photographs.IMAGES).iterdir())
        return {"pictures": write_maps(folder, tower, side, pictures, progress)}

    def assemble(self, folder: Path) -> str:
        """See ``eyes`` and ``detectors``."""
        language, tokenizer = self.load_language()
        maps, names, presence = self._seen(language.config.hidden_size)
        model = give_eyes(language, tokenizer, self._tower(), places=maps.shape[1])
        set_projector(
            model.model.multi_modal_projector,
            fit_detectors(maps, presence, self._known(names, maps.shape[-1])),
            Names.of(word_embeddings(model, tokenizer, names)),
        )
        save_eyes(model, tokenizer, folder)
        return f"says {len(names)} names, {maps.shape[1]} places a picture"

    @property
    def taught(self) -> list[str]:
        """POPE's files of the photographs that are taught."""
        return [f"{BENCHMARK.name}:{self.out / 'training'}"]

    @property
    def asked(self) -> list[str]:
        """POPE's files of the others."""
        return [f"{BENCHMARK.name}:{self.out / 'questions'}"]

    @property
    def features(self) -> Shows:
        """Each picture through projectors that were fitted without it; see ``detectors``."""
        return self._mixed

    def _mixed(self, adapter: Adapter) -> Show:
        maps, names, presence = self._seen(adapter.model.get_decoder().config.hidden_size)
        pictures = list(read_maps(self.out / _MAPS))
        own = sorted({photographs.photograph(picture) for picture in pictures})
        Random(self.settings.seed).shuffle(own)
        fold = {name: place % FOLDS for place, name in enumerate(own)}
        folds = torch.tensor([fold[photographs.photograph(picture)] for picture in pictures])
        words = word_embeddings(adapter.model, adapter.processor.tokenizer, names)
        known = self._known(names, maps.shape[-1])
        return mixed(heard(maps, presence, known, folds), presence, Names.of(words), pictures)

    def _tower(self) -> EfficientNetModel:
        return load_lite2() if self.tower is None else self.tower()

    def _known(self, names: list[str], channels: int) -> Tensor:
        """What the tower's own classifier says for objects, [names, channels]; nothing for another tower."""
        if self.tower is not None:
            return torch.zeros(len(names), channels)
        return directions(lite2_classifier(), names)

    def _seen(self, most: int) -> tuple[Tensor, list[str], Tensor]:
        """Maps of what is taught [pictures, places, channels], names of objects, and presence [pictures, names].

        Args:
            most: names; those of rarer objects are left out.
        """
        maps = read_maps(self.out / _MAPS)
        names, presence = photographs.objects_shown(self.settings, list(maps))
        return torch.stack(list(maps.values())), names[:most], torch.from_numpy(presence[:, :most]).float()
