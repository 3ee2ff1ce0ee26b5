"""What every baseline is given, and how it turns scores and counts into a plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.checkpoints.heads import HeadPlan
from hipp_prune.checkpoints.residual import Slicing
from hipp_prune.errors import BudgetError
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.forward_cost import flops_table
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.costs import Costs
from hipp_prune.plans.plan import Plan, keep_masks, pack_masks
from hipp_prune.plans.space import ModelShape, PlanSpace, UnitKind
from hipp_prune.pruning.criteria import Criterion
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.questions.question import Question

Planned = Plan | HeadPlan | Slicing
"""What a baseline removes: neurons, heads beside them, or coordinates of the residual stream."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One model, one calibration sample, one budget: the same for all methods that are compared."""

    adapter: Adapter
    """The dense model, its neurons in their original order."""
    calibration: Calibration
    """Its statistics over ``questions``."""
    questions: Sequence[Question]
    """The calibration sample itself, for methods that measure more."""
    sparsity: float
    """Fraction of the ledger's column ``settings.match`` to remove, in [0, 1]."""
    grams: Grams | None = None
    """Its Gram matrices, where they were gathered."""
    settings: BaselineSettings = field(default_factory=BaselineSettings)
    """What the method was told."""

    @property
    def mlp_sparsity(self) -> float:
        """Fraction of the MLP parameters to remove, whatever the sparsity is a fraction of."""
        return mlp_fraction(self.adapter.shape, self.sparsity, self.settings)

    @property
    def tokens(self) -> float:
        """Mean length of the calibration prompts."""
        return float(self.calibration.inputs[0].count.sum()) / self.calibration.num_questions

    def space(self, unit: UnitKind = "coupled") -> PlanSpace:
        """The plans to choose from, where nothing but neurons leaves.

        Raises:
            BudgetError: if ``sparsity`` lies outside the box.
        """
        space = self.any_space(unit)
        space.check_budget(self.mlp_sparsity)
        return space

    def any_space(self, unit: UnitKind = "coupled") -> PlanSpace:
        """The same, whatever the sparsity; FLOPs are counted for a prompt of the sample's mean length."""
        tables = Costs(flops=flops_table(self.adapter, self.tokens)) if unit == "coupled" else Costs()
        return PlanSpace(shape=self.adapter.shape, unit=unit, r_max=self.settings.r_max, tables=tables)


def mlp_fraction(shape: ModelShape, sparsity: float, settings: BaselineSettings) -> float:
    """A sparsity as a fraction of the prunable MLP parameters, where nothing but neurons leaves.

    Raises:
        BudgetError: if they do not hold the share of block parameters that is asked for.
    """
    if settings.match == "mlp":
        return sparsity
    most = settings.r_max * shape.mlp_share
    if sparsity > most:
        raise BudgetError(
            f"a sparsity of {sparsity:g} of the block parameters is more than MLP neurons can give: they hold "
            f"{shape.mlp_share:.3g} of these, and no block may lose more than r_max = {settings.r_max:g} of its own; "
            f"ask for at most {most:.3g}"
        )
    return sparsity / shape.mlp_share


def make_plan(
    space: PlanSpace, kept: Ints, rankings: Sequence[Ints], *, importance: str, **notes: object
) -> Plan:
    """The plan that keeps the first ``kept`` of each ranking.

    Args:
        space: what it is a plan of.
        kept: neurons (``rows``: rows) kept by each unit, [U].
        rankings: neurons of each block, most important first (``rows``: gate, up and down rows of each block).
        importance: what ranked them.
        notes: what else the file is to say.
    """
    counts = tuple(int(count) for count in kept)
    return Plan(
        shape=space.shape,
        unit=space.unit,
        kept=counts,
        masks=pack_masks(keep_masks(space.unit, rankings, counts)),
        ledger=space.ledger(np.array(counts)),
        tables=space.tables,
        importance=importance,
        notes=notes,
    )


def by_score(scores: Sequence[Tensor]) -> list[Ints]:
    """Indices by descending score, ties in their own order."""
    return [np.argsort(-score.double().cpu().numpy(), kind="stable") for score in scores]


def uniform_counts(space: PlanSpace, sparsity: float) -> Ints:
    """Neurons kept by each unit, [U], where all lose the same fraction; on budget to one neuron."""
    result: Ints = space.kept(np.full((1, space.num_units), sparsity))[0]
    return result


def uniform_plan(setting: Setting, criterion: Criterion) -> Plan:
    """The plan where all blocks lose the same fraction, neurons by a named criterion."""
    space = setting.space()
    scores = score_neurons(setting.adapter, setting.calibration, criterion, setting.settings.image_weight)
    return make_plan(
        space, uniform_counts(space, setting.mlp_sparsity), by_score(scores), importance=criterion
    )


def shifted_ratios(space: PlanSpace, ratios: Floats, sparsity: float) -> Floats:
    """clip(ratios + t, 0, r_max), [U], with the t that meets the sparsity (bisection)."""
    low, high = -float(ratios.max()) - 1.0, 1.0 - float(ratios.min())
    for _ in range(60):
        middle = (low + high) / 2
        short = space.saved(np.clip(ratios + middle, 0.0, space.r_max)) < sparsity
        low, high = (middle, high) if short else (low, middle)
    result: Floats = np.clip(ratios + high, 0.0, space.r_max)
    return result


def global_counts(space: PlanSpace, scores: Sequence[Tensor], sparsity: float) -> Ints:
    """Neurons kept by each block, [L], if the lowest of all blocks' scores go: one global threshold inside the box."""
    values = [score.double().cpu().numpy().copy() for score in scores]
    least = space.widths - np.floor(space.r_max * space.widths + 1e-9).astype(np.int64)
    for value, count in zip(values, least, strict=True):
        value[np.argsort(-value, kind="stable")[:count]] = np.inf
    block = np.repeat(np.arange(len(values)), space.widths)
    lowest = np.argsort(np.concatenate(values), kind="stable")[: round(sparsity * int(space.widths.sum()))]
    result: Ints = space.widths - np.bincount(block[lowest], minlength=len(values))
    return result


def standardised(scores: Sequence[Tensor]) -> list[Tensor]:
    """(q − mean) / std within each block, so that blocks can be compared; 0 where all are equal."""
    tiny = 1e-300
    doubles = [score.double() for score in scores]
    return [(score - score.mean()) / score.std().clamp(min=tiny) for score in doubles]
