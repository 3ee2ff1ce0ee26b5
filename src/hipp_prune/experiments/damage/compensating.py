"""A model pruned in memory by keep-masks, its neurons that stay answering for the others as asked."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.experiments.damage.settings import DamageCompensation
from hipp_prune.models.adapter import Adapter, Batch, ImageFeatures
from hipp_prune.plans.arrays import Bools
from hipp_prune.pruning.compensated import fitted_downs
from hipp_prune.pruning.reconstruction import PrunedMlp
from hipp_prune.pruning.sequential import fit_batches
from hipp_prune.pruning.streams import standing_in
from hipp_prune.questions.question import Question

FitBatches = list[tuple[Batch, Sequence[ImageFeatures], bool]]
"""Batches, the pictures of each, and whether it is held out from fitting."""


@dataclass(frozen=True, kw_only=True)
class CalibratedModel:
    """The dense model of a seed: what has been measured of it, and on what."""

    adapter: Adapter
    calibration: Calibration
    grams: Grams
    sample: Sequence[Question]
    """The calibration questions."""
    batches: Callable[[], FitBatches]
    """Makes batches of the same and of general text, for fitting block after block."""

    @torch.no_grad()
    def fit(
        self, masks: Sequence[Bools], compensation: DamageCompensation, image_weight: float | None
    ) -> list[PrunedMlp]:
        """The MLPs of all blocks.

        Args:
            masks: True where a neuron of a block stays, in original order.
            compensation: how those that stay answer for the others.
            image_weight: of image tokens in that.
        """
        if compensation == "sequential":
            return fit_batches(self.adapter, self.batches(), masks, image_weight=image_weight)
        fitted = fitted_downs(self.grams, masks, image_weight)
        mlps = []
        for index, (block, mask) in enumerate(zip(self.adapter.blocks, masks, strict=True)):
            weight, keep = block.down.weight.detach(), torch.from_numpy(mask)
            down = fitted(index, weight.float()) if compensation == "ridge" else weight[:, keep]
            mlps.append(PrunedMlp(down.float()))
        return mlps


@contextmanager
def pruned(adapter: Adapter, masks: Sequence[Bools], mlps: Sequence[PrunedMlp]) -> Iterator[None]:
    """The model computes as if it were pruned, inside the context."""
    with ExitStack() as stack:
        for block, mask, mlp in zip(adapter.blocks, masks, mlps, strict=True):
            stack.enter_context(standing_in(block, mlp, torch.from_numpy(mask)))
        yield
