"""A projector that names what a photograph shows: fitted by ridge regression, on what is known of whole photographs.

Each hidden unit of the projector stands for an object: it is silent unless a place of the map looks more like
photographs with that object than places usually do. What it then says is the object's name: the embedding of the word,
turned just so far that all names are equally far apart (``told_apart``), since several are said at once.

A ridge sees the photographs it was fitted on far too well. So of every photograph the language model is taught with a
projector that was fitted without it (and without its mirror image), and learns how far to trust what it will see.
Every unit then speaks of another picture that has, or lacks, its object too: two hundred photographs are soon learnt
by heart, and what goes together in them would be answered where it is not seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
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


def told_apart(words: Tensor) -> Tensor:
    """Vectors of one length and equally far apart, nearest to words' embeddings about their mean, [words, hidden].

    Embeddings have much in common: the cosine of two objects' names is 0.4 on average in SmolLM2. Of a sum of some of
    them hardly anything can be told; of a sum of these everything.

    Args:
        words: embeddings, [words, hidden]; at most as many as ``hidden``.
    """
    left, _, right = torch.linalg.svd((words - words.mean(0)).double(), full_matrices=False)
    apart = left[:, :-1] @ right[:-1]  # all but the direction in which nothing is left
    return apart.to(words.dtype) * words.norm(dim=1).mean()


@torch.no_grad()
def set_projector(projector: Any, detectors: Detectors, names: Tensor) -> None:
    """Makes a projector of two layers say the names of what detectors find.

    Args:
        projector: of a stock model, its activation max(0, ·), with at least as many hidden units as there are objects.
        detectors: their scores.
        names: what is said of each object, [objects, hidden].
    """
    count = len(names)
    for layer in (projector.linear_1, projector.linear_2):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    projector.linear_1.weight[:count] = detectors.weight
    projector.linear_1.bias[:count] = detectors.bias - _SILENT
    projector.linear_2.weight[:, :count] = names.T


def heard(maps: Tensor, presence: Tensor, folds: Tensor) -> Tensor:
    """What the units of projectors say of pictures that they were not fitted on, [pictures, places, objects].

    Args:
        maps: of pictures, float32 [pictures, places, channels].
        presence: which objects each shows, 0 or 1, float32 [pictures, objects].
        folds: a number for each picture; those of one fold are heard by detectors fitted on all others.
    """
    said = maps.new_empty(*maps.shape[:2], presence.shape[1])
    for fold in folds.unique():
        own = folds == fold
        detectors = fit_detectors(maps[~own], presence[~own])
        said[own] = (maps[own] @ detectors.weight.T + detectors.bias - _SILENT).relu()
    return said


def mixed(said: Tensor, presence: Tensor, names: Tensor, pictures: Sequence[str]) -> Show:
    """What the language model is shown while it learns: each unit as it speaks of a picture with the same to say.

    Which picture that is depends on the batch alone, so that a training that was cut off goes on as it would have.

    Args:
        said: by each unit of each picture, [pictures, places, objects].
        presence: which objects each shows, 0 or 1, float32 [pictures, objects].
        names: what is said of each object, [objects, hidden].
        pictures: the pictures' files' names, in the same order.
    """
    place_of = {name: place for place, name in enumerate(pictures)}
    alike = [[torch.nonzero(column == kind)[:, 0] for kind in (0, 1)] for column in presence.T]

    def show(paths: Sequence[Path]) -> Mapping[Path, ImageFeatures]:
        rng = Random("\n".join(path.name for path in paths))
        return {path: ImageFeatures(tokens=one(path, rng) @ names, extras={}) for path in paths}

    def one(path: Path, rng: Random) -> Tensor:
        own = presence[place_of[path.name]].long().tolist()
        drawn = [int(rng.choice(alike[unit][kind].tolist())) for unit, kind in enumerate(own)]
        return said[drawn, :, range(len(own))].T

    return show
