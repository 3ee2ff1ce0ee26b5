"""A projector that names what a photograph shows: fitted by ridge regression, on what is known of whole photographs.

Two hundred photographs teach little about rare objects, while the tower has learnt many from a million pictures. So
the ridge does not shrink weights to nothing but to those of the classes that are kinds of an object (``imagenet``).

Each hidden unit of the projector stands for an object: it is silent unless a place of the map looks more like
photographs with that object than places usually do. What it then says is the object's name: the embedding of the word,
turned just so far that all names are equally far apart (``told_apart``), since several are said at once. Where one unit
speaks, the language model is given about what it is given where it reads the name.

A ridge sees the photographs it was fitted on far too well. So of every photograph the language model is taught with a
projector that was fitted without it (and without its mirror image), and learns how far to trust what it will see.
Every unit then speaks of another picture that has, or lacks, its object too (of one with as many objects as those
that are asked about, where there is one: in such a picture they are small): two hundred photographs are soon learnt by
heart, and what goes together in them would be answered where it is not seen. That alone would teach it to say Yes
too rarely, since units that err do so together; so in a third of batches all speak of the picture itself. In another
third units say what is there and nothing else, from which to read names is learnt sooner than through their errors.
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
from hipp_prune.questions.poll_making import POSITIVES
from hipp_prune.recovery.pictures import Show

FOLDS = 8
"""Parts of the photographs that are taught; each is seen through a projector fitted on the others."""
_PENALTY = 10.0
"""Of the ridge, relative to the mean square of a picture's features."""
_KNOWN = 0.4
"""Spread over pictures of what is known of an object beforehand; that of its presence is 1."""
_SILENT = 1.5
"""Score, in standard deviations over places, up to which a unit is silent."""
_LOUD = 2.0
"""How much more a unit says where the score is one higher; 1 says the name as it is read."""
_PLAINLY = 1 / 3
"""Share of batches in which units say what is there and nothing else."""
_TOGETHER = 1 / 3
"""Share of batches in which all units speak of the picture itself."""
_PLACES = 3
"""Places at which they say so."""


@dataclass(frozen=True, kw_only=True)
class Detectors:
    """One linear score an object, of a place's features."""

    weight: Tensor
    """[objects, channels]."""
    bias: Tensor
    """[objects]."""


def fit_detectors(maps: Tensor, presence: Tensor, known: Tensor) -> Detectors:
    """Fits scores on the means of maps, and puts each on a scale on which places have variance 1.

    Args:
        maps: of pictures, float32 [pictures, places, channels].
        presence: which objects each shows, 0 or 1, float32 [pictures, objects].
        known: weights towards which those of objects shrink, of any length, [objects, channels]; zeros where nothing
            is known beforehand.
    """
    pooled = maps.mean(1)
    share = presence.mean(0)
    rare = (share * (1 - share)).sqrt().clamp(min=len(presence) ** -0.5)
    spread = (pooled @ known.T).std(0)
    start = known * (_KNOWN / spread).nan_to_num(posinf=0)[:, None]
    left = (presence - share) / rare - (pooled - pooled.mean(0)) @ start.T
    per_channel = _PENALTY * pooled.shape[1] / pooled.shape[0]
    weight = start + ridge(pooled, left, penalty=per_channel)[0]
    scale = (maps @ weight.T).std((0, 1), correction=0).clamp(min=torch.finfo(maps.dtype).eps)
    weight /= scale[:, None]
    return Detectors(weight=weight, bias=-pooled.mean(0) @ weight.T)


def told_apart(words: Tensor) -> Tensor:
    """Vectors of one length and equally far apart, nearest to words' embeddings about their mean, [words, hidden].

    Embeddings have so much in common that hardly anything can be told of a sum of some of them; of a sum of these
    everything can. Their length is that of the embeddings about their mean.

    Args:
        words: embeddings, [words, hidden]; at most as many as ``hidden``.
    """
    own = (words - words.mean(0)).double()
    left, _, right = torch.linalg.svd(own, full_matrices=False)
    apart = left[:, :-1] @ right[:-1]  # all but the direction in which nothing is left
    return (apart * (own.norm() / apart.norm())).to(words.dtype)


@dataclass(frozen=True, kw_only=True)
class Names:
    """What is said of objects: of nothing ``common``, of each object its own vector beside."""

    common: Tensor
    """[hidden]."""
    own: Tensor
    """[objects, hidden]."""

    @classmethod
    def of(cls, words: Tensor) -> "Names":
        """From the embeddings of the objects' names, [objects, hidden]."""
        return cls(common=words.mean(0), own=told_apart(words))


@torch.no_grad()
def set_projector(projector: Any, detectors: Detectors, names: Names) -> None:
    """Makes a projector of two layers say the names of what detectors find.

    Args:
        projector: of a stock model, its activation max(0, ·), with at least as many hidden units as there are objects.
        detectors: their scores.
        names: what is said of them.
    """
    count = len(names.own)
    for layer in (projector.linear_1, projector.linear_2):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    projector.linear_1.weight[:count] = _LOUD * detectors.weight
    projector.linear_1.bias[:count] = _LOUD * (detectors.bias - _SILENT)
    projector.linear_2.weight[:, :count] = names.own.T
    projector.linear_2.bias.copy_(names.common)


def heard(maps: Tensor, presence: Tensor, known: Tensor, folds: Tensor) -> Tensor:
    """What the units of projectors say of pictures that they were not fitted on, [pictures, places, objects].

    Args:
        maps: of pictures, float32 [pictures, places, channels].
        presence: which objects each shows, 0 or 1, float32 [pictures, objects].
        known: see ``fit_detectors``.
        folds: a number for each picture; those of one fold are heard by detectors fitted on all others.
    """
    said = maps.new_empty(*maps.shape[:2], presence.shape[1])
    for fold in folds.unique():
        own = folds == fold
        detectors = fit_detectors(maps[~own], presence[~own], known)
        said[own] = _LOUD * (maps[own] @ detectors.weight.T + detectors.bias - _SILENT).relu()
    return said


def mixed(said: Tensor, presence: Tensor, names: Names, pictures: Sequence[str]) -> Show:
    """What the language model is shown while it learns: its picture, what is there, or each unit as another is heard.

    Which picture that is, and in which batches units say what is there instead, depends on the batch alone, so that a
    training that was cut off goes on as it would have.

    Args:
        said: by each unit of each picture, [pictures, places, objects].
        presence: which objects each shows, 0 or 1, float32 [pictures, objects].
        names: what is said of the objects.
        pictures: the pictures' files' names, in the same order.
    """
    place_of = {name: place for place, name in enumerate(pictures)}
    crowded = presence.sum(1) >= POSITIVES
    alike = [[_alike(column == kind, crowded) for kind in (0, 1)] for column in presence.T]

    def show(paths: Sequence[Path]) -> Mapping[Path, ImageFeatures]:
        rng = Random("\n".join(path.name for path in paths))
        way = rng.random()
        if way < _TOGETHER:
            drawn = {path: said[place_of[path.name]] for path in paths}
        else:
            draw = plain if way < _TOGETHER + _PLAINLY else heard_alike
            drawn = {path: draw(presence[place_of[path.name]].bool(), rng) for path in paths}
        return {
            path: ImageFeatures(tokens=units @ names.own + names.common, extras={})
            for path, units in drawn.items()
        }

    def plain(own: Tensor, rng: Random) -> Tensor:
        units = said.new_zeros(said.shape[1:])
        for unit in torch.nonzero(own)[:, 0].tolist():
            units[rng.sample(range(len(units)), min(_PLACES, len(units))), unit] = 1.0
        return units

    def heard_alike(own: Tensor, rng: Random) -> Tensor:
        drawn = [rng.choice(alike[unit][kind]) for unit, kind in enumerate(own.tolist())]
        return said[drawn, :, range(len(own))].T

    return show


def _alike(own: Tensor, crowded: Tensor) -> list[int]:
    """Pictures of which some are drawn: those that show as much as what is asked about, or all if there are none."""
    both = own & crowded
    return torch.nonzero(both if both.any() else own)[:, 0].tolist()
