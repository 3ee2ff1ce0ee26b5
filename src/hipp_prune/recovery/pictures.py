"""What a model sees of the pictures of a batch: encoded once where nothing trained lies before, else anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hipp_prune.evaluation.features import IMAGE_MEMORY, encode_image_files
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question, pictures_of

Show = Callable[[Sequence[Path]], Mapping[Path, ImageFeatures]]
"""Features of the pictures at these paths, as training needs them."""

Shows = Callable[[Adapter], Show]
"""Makes them for a model that is to learn from other features than its own."""


def frozen_pictures(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Show:
    """Pictures behind a frozen tower and a frozen projector.

    Args:
        adapter: the model.
        questions: whose pictures.
        folder: where features lie that memory does not hold.
        progress: told (pictures encoded, pictures in all).
    """
    features = encode_image_files(adapter, questions, folder=folder, progress=progress)

    return lambda paths: {path: _copied(features[path], adapter.device) for path in paths}


def _copied(image: ImageFeatures, device: torch.device) -> ImageFeatures:
    """A copy of features, since backward passes refuse what was made in inference mode."""
    extras = {key: value.clone() for key, value in image.extras.items()}
    return replace(image, tokens=image.tokens.clone().to(device), extras=extras)


def projected_pictures(
    adapter: Adapter,
    questions: Sequence[Question],
    projector: nn.Module,
    *,
    memory: int = IMAGE_MEMORY,
    progress: Progress | None = None,
) -> Show:
    """Pictures behind a frozen tower and a projector that is being trained.

    What the projector is given is kept, where all a family does with its output is to reshape it (LLaVA) and memory
    lasts. Other pictures run through the tower at every step.

    Args:
        adapter: the model.
        questions: whose pictures.
        projector: part of the model.
        memory: bytes of the projector's inputs that are kept.
        progress: told (pictures encoded, pictures in all).
    """
    paths = pictures_of(questions)
    kept: dict[Path, tuple[Tensor, ImageFeatures]] = {}
    for done, path in enumerate(paths, start=1):
        if memory <= 0:
            break
        with torch.no_grad(), _Recorder(projector) as recorder:
            image = adapter.encode_images([read_image(path)])[0]
        given = recorder.input_of(image)
        if given is None:
            break
        kept[path] = given, image
        memory -= given.nbytes
        if progress:
            progress(done, len(paths))

    def show(paths: Sequence[Path]) -> Mapping[Path, ImageFeatures]:
        return {path: _project(path) for path in paths}

    def _project(path: Path) -> ImageFeatures:
        if path not in kept:
            return adapter.encode_images([read_image(path)])[0]
        given, image = kept[path]
        return replace(image, tokens=projector(given).reshape(image.tokens.shape))

    return show


@dataclass
class _Recorder:
    """Watches a module's calls inside a context."""

    module: nn.Module

    def __enter__(self) -> "_Recorder":
        self._calls: list[tuple[tuple[Any, ...], Any]] = []
        self._hook = self.module.register_forward_hook(
            lambda _, arguments, output: self._calls.append((arguments, output))
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def input_of(self, image: ImageFeatures) -> Tensor | None:
        """What the module was given, if its output is the picture's features but for their shape."""
        if len(self._calls) != 1:
            return None
        arguments, output = self._calls[0]
        if len(arguments) != 1 or not isinstance(output, Tensor) or output.numel() != image.tokens.numel():
            return None
        given = arguments[0]
        same = torch.equal(output.reshape(image.tokens.shape), image.tokens)
        return given if same and isinstance(given, Tensor) else None
