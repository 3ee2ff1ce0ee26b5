"""The pruning problem of a real model: its neurons sorted once, any plan applied as views, questions asked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
from torch import Tensor

from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.evaluation.evaluator import Evaluator, PreparedBatch, plan_scores
from hipp_prune.evaluation.features import IMAGE_MEMORY
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.objectives.returns import PlanScores
from hipp_prune.objectives.stability import (
    Projections,
    chained_log_flow,
    coupled_log_ratio,
    neuron_flow,
    rows_log_ratio,
    synflow_table,
)
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import PlanSpace
from hipp_prune.pruning.compensated import Compensated, compensate
from hipp_prune.pruning.importance import score_neurons, score_rows
from hipp_prune.pruning.prefix_views import SortedModel, sort_neurons, sort_rows
from hipp_prune.questions.minibatches import Minibatches
from hipp_prune.questions.question import Question
from hipp_prune.search.policy.state import UnitStates, describe_units, with_error_curves
from hipp_prune.search.settings import SearchSettings

_CACHED_MINIBATCHES = 8


class ModelProblem:
    """A ``Problem`` on a loaded model.

    Args:
        adapter: the dense model; its neurons are sorted in place (a function-preserving permutation).
        calibration: its statistics.
        questions: the search split.
        settings: unit, importance, minibatch and return settings.
        space: the plans and what they save (see ``spaces.plan_space``); by default sparsity is of parameters.
        batch_size: questions a forward pass.
        features: folder for encoded pictures beyond ``image_memory``; without one all stay in memory.
        image_memory: bytes of encoded pictures that stay in memory.
        grams: Gram matrices of the model's neurons, for ``settings.compensation``.
        factors: folder for what is made of them that memory does not hold.
        progress: told how many pictures have been encoded.
    """

    def __init__(
        self,
        adapter: Adapter,
        calibration: Calibration,
        questions: Sequence[Question],
        settings: SearchSettings,
        *,
        space: PlanSpace | None = None,
        batch_size: int = 64,
        features: Path | None = None,
        image_memory: int = IMAGE_MEMORY,
        grams: Grams | None = None,
        factors: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.settings = settings = replace(settings, compensation=settings.mode(has_grams=grams is not None))
        self.space = space or PlanSpace(shape=adapter.shape, unit=settings.unit, r_max=settings.r_max)
        scores = _unit_scores(adapter, calibration, settings)
        states = describe_units(
            adapter,
            calibration,
            scores,
            self.space,
            image_weight=settings.image_weight,
            visual=settings.visual,
            heads=settings.heads,
            seed=settings.seed,
        )
        self.sorted = _sort(adapter, calibration, settings, scores, grams, factors)
        self.states: UnitStates = with_error_curves(states, self.sorted.error_curves())
        self._projections: list[Projections] = [
            (block.gate.weight, block.up.weight, block.down.weight) for block in adapter.blocks
        ]
        self._tables = synflow_table([neuron_flow(*weights) for weights in self._projections])
        self._dense_chain = chained_log_flow(self._projections) if settings.flow == "chain" else 0.0
        self._evaluator = Evaluator(
            adapter,
            questions,
            batch_size=batch_size,
            folder=features,
            memory=image_memory,
            progress=progress,
        )
        self._prepared: dict[tuple[str, int], tuple[list[Question], list[PreparedBatch]]] = {}
        self._minibatches = Minibatches(questions)

    @property
    def state(self) -> Floats:
        """Standardised descriptors, [U, F]."""
        return self.states.values

    def log_ratio(self, kept: Ints) -> Floats:
        """ℓ of Eq. 13, [P]: a look-up for ``coupled`` plans, a product of matrices otherwise."""
        if self.settings.flow == "chain":
            return np.array([self._chained(plan) - self._dense_chain for plan in kept])
        if self.settings.unit == "coupled":
            return coupled_log_ratio(self._tables, kept)
        return np.array([rows_log_ratio(self._projections, self._row_masks(plan)) for plan in kept])

    def evaluate(self, kept: Ints, minibatch: str, size: int) -> PlanScores:
        """What a plan scores on the minibatch of this name and size."""
        questions, prepared = self._minibatch(minibatch, size)
        with self.sorted.apply(kept.tolist()):
            scores = self._evaluator.scores(prepared)
        return plan_scores(scores, questions, kind=self.settings.returns, tau=self.settings.tau)

    def _minibatch(self, name: str, size: int) -> tuple[list[Question], list[PreparedBatch]]:
        """The questions a name stands for: drawn from the seed and the name, so the same in every process."""
        key = name, size
        if key not in self._prepared:
            rng = np.random.default_rng([self.settings.seed, crc32(name.encode())])
            asked = self._evaluator.questions
            indices = self._minibatches.draw(
                size, rng, robust_share=self.settings.robust_share, per_image=self.settings.per_image
            )
            while len(self._prepared) >= _CACHED_MINIBATCHES:
                del self._prepared[next(iter(self._prepared))]
            prepared = self._evaluator.prepare(indices, dense=True)  # outside ``apply`` it is the dense model
            self._prepared[key] = [asked[index] for index in indices], prepared
        return self._prepared[key]

    def _row_masks(self, kept: Ints) -> list[np.ndarray]:
        """Masks of gate, up and down rows of every block, in the *sorted* order the weights now have."""
        masks = self.sorted.keep_masks(kept.tolist())
        if self.settings.unit == "coupled":
            hidden = self.space.shape.hidden_size
            masks = [part for mask in masks for part in (mask, mask, np.ones(hidden, dtype=bool))]
        return [
            mask if index % 3 == 2 else mask[self.sorted.orders[index // 3]]
            for index, mask in enumerate(masks)
        ]

    def _chained(self, kept: Ints) -> float:
        return chained_log_flow(self._projections, self._row_masks(kept))


def _unit_scores(adapter: Adapter, calibration: Calibration, settings: SearchSettings) -> list[Tensor]:
    """Importance of every neuron (row) of each unit, U tensors, in the order of ``PlanSpace``."""
    if settings.unit == "coupled":
        return score_neurons(adapter, calibration, settings.importance, settings.image_weight)
    rows = score_rows(adapter, calibration, settings.image_weight)
    return [part for gate, up, down in rows for part in ((gate + up) / 2, down)]


def _sort(
    adapter: Adapter,
    calibration: Calibration,
    settings: SearchSettings,
    scores: Sequence[Tensor],
    grams: Grams | None,
    factors: Path | None,
) -> SortedModel:
    def compensated(orders: Sequence[Ints]) -> Compensated | None:
        return compensate(
            settings.mode(has_grams=grams is not None),
            adapter,
            calibration,
            orders,
            grams=grams,
            image_weight=settings.image_weight,
            folder=factors,
        )

    if settings.unit == "coupled":
        return sort_neurons(adapter, scores, compensated)
    return sort_rows(adapter, score_rows(adapter, calibration, settings.image_weight))
