"""A projector that names what a photograph shows: fitted by ridge regression, on what is known of whole photographs.

Each hidden unit of the projector stands for an object: it is silent unless a place of the map looks more like
photographs with that object than places usually do. What it then says is the embedding of the object's name.

A ridge sees the photographs it was fitted on far too well. So of every photograph the language model is taught with a
projector that was fitted without it (and without its mirror image), and learns how far to trust what it will see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hipp_prune.experiments.photo.assembly import ridge
from hipp_prune.models.batch import ImageFeatures
from hipp_prune.recovery.pictures import Show

FOLDS = 8
"""Parts of the photographs that are taught; each is seen through a projector fitted on the others."""
_PENALTY = 3.0
"""Of the ridge, relative to the mean square of a picture's features."""
_SILENT = 1.0
"""Score, in standard deviations over places and objects, up to which a unit is silent."""


@dataclass(frozen=True, kw_only=True)
class Detectors:
    """One linear score an object, of a place's features."""

    weight: Tensor
    """[objects, channels]."""
    bias: Tensor
    """[objects]."""


def fit_detectors(maps: Tensor, presence: Tensor) -> Detectors:
    """Fits scores on the means of maps, and puts them on a scale on which places have variance 1.

    Args:
        maps: of pictures, float32 [pictures, places, channels].
        presence: which objects each shows, 0 or 1, float32 [pictures, objects].
    """
    pooled = maps.mean(1)
    share = presence.mean(0)
    rare = (share * (1 - share)).sqrt().clamp(min=len(presence) ** -0.5)
    per_channel = _PENALTY * pooled.shape[1] / pooled.shape[0]
    weight, _ = ridge(pooled, (presence - share) / rare, penalty=per_channel)
    scores = maps @ weight.T
    scale = (scores - scores.mean((0, 1))).square().mean().sqrt()
    return Detectors(weight=weight / scale, bias=-pooled.mean(0) @ weight.T / scale)


@torch.no_grad()
def set_projector(projector: Any, detectors: Detectors, words: Tensor) -> None:
    """Makes a projector of two layers say the names of what detectors find.

    Args:
        projector: of a stock model, its activation max(0, ·), with at least as many hidden units as there are objects.
        detectors: their scores.
        words: the embeddings of the objects' names, [objects, hidden].
    """
    count = len(words)
    for layer in (projector.linear_1, projector.linear_2):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    projector.linear_1.weight[:count] = detectors.weight
    projector.linear_1.bias[:count] = detectors.bias - _SILENT
    projector.linear_2.weight[:, :count] = words.T


def crossed(
    projector: nn.Module,
    words: Tensor,
    maps: Mapping[str, Tensor],
    presence: Tensor,
    folds: Sequence[int],
) -> Show:
    """What the language model is shown while it learns: every picture through a projector fitted without its fold.

    Args:
        projector: of the model; it is left as it was.
        words: the embeddings of the objects' names, [objects, hidden].
        maps: of the pictures by their files' names, float32 [places, channels] each.
        presence: which objects each shows, float32 [pictures, objects], in the order of ``maps``.
        folds: the fold of each, in the same order.
    """
    stacked, fold = torch.stack(list(maps.values())), torch.tensor(folds)
    own = {name: each.clone() for name, each in projector.state_dict().items()}
    tokens = stacked.new_empty(*stacked.shape[:2], words.shape[1])
    for part in set(folds):
        set_projector(projector, fit_detectors(stacked[fold != part], presence[fold != part]), words)
        with torch.no_grad():
            tokens[fold == part] = projector(stacked[fold == part])
    projector.load_state_dict(own)
    seen = dict(zip(maps, tokens, strict=True))

    def show(paths: Sequence[Path]) -> Mapping[Path, ImageFeatures]:
        return {path: ImageFeatures(tokens=seen[path.name], extras={}) for path in paths}

    return show
