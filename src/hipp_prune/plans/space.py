"""What can be pruned of a model, and every plan for it: units, the box, sparsity on every denominator (Eq. 1, Eq. 8).

Nothing here needs torch.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from annotated_types import Le, Len

from hipp_prune.errors import BudgetError
from hipp_prune.files.ranges import Count, Large
from hipp_prune.plans.allocation import Allocation, kept_counts, paper_ratios, waterfill_ratios
from hipp_prune.plans.arrays import Float, Floats, Int, Ints, Reduced
from hipp_prune.plans.costs import Compression, Costs, CostTable

Saving = Annotated[float, Le(1)]
"""A fraction saved; negative where more was added than removed."""

_ROUNDING = 1e-9
"""Slack of a sparsity that was met exactly."""
_BISECTIONS = 50
"""Halvings of [0, r_max] that find the parameters to remove for a saving in another measure."""

UnitKind = Literal["coupled", "rows"]
"""What a ratio removes. ``coupled``: neuron j is row j of gate and up and column j of down; ``rows``: the
paper's independent row masks of gate, up and down."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What a plan needs to know of a model: its prunable widths and the denominators of sparsity."""

    family: str
    """transformers' ``model_type``, e.g. ``llava``."""
    fingerprint: str
    """Hash of architecture and weights: a plan fits exactly one model."""
    hidden_size: Count
    """Width of the residual stream."""
    neurons: Annotated[tuple[Count, ...], Len(1)]
    """MLP neurons of each block of the language backbone, length L ≥ 1."""
    neuron_parameters: Count
    """Parameters that leave with one neuron: a gate row, an up row, a down column (and two biases)."""
    block_parameters: Large
    """Parameters of all L blocks together: attention, MLP and norms."""
    language_parameters: Large
    """Parameters of the language model with its embeddings and head (a tied head counted once)."""
    total_parameters: Large
    """Parameters of the whole VLM."""

    def __post_init__(self) -> None:
        prunable = sum(self.neurons) * self.neuron_parameters
        if not (
            self.hidden_size < self.neuron_parameters
            and 0 < self.block_parameters <= self.language_parameters <= self.total_parameters
            and prunable <= self.total_parameters
        ):
            raise ValueError(
                "a model's parameters must grow from a neuron's to its blocks', its language model's and its own"
            )

    @property
    def num_blocks(self) -> int:
        """L, the language blocks."""
        return len(self.neurons)

    @property
    def mlp_share(self) -> float:
        """Prunable MLP parameters as a fraction of all block parameters."""
        return sum(self.neurons) * self.neuron_parameters / self.block_parameters


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What a plan saves, on every denominator ("22.5%" alone is ambiguous), each a fraction in [0, 1]."""

    mlp: Saving
    """Of the prunable MLP parameters: the fraction of neurons, where blocks are alike."""
    block: Saving
    """Of the parameters of all language blocks."""
    language: Saving
    """Of all parameters of the language model."""
    model: Saving
    """Of all parameters of the VLM."""
    flops: Saving | None = None
    """Of the FLOPs of the language model's forward pass; none where they were not counted."""
    latency: Saving | None = None
    """Of its seconds; none where they were not measured."""


@dataclass(frozen=True, kw_only=True)
class PlanSpace:
    """All plans for one model: its units, the box [0, r_max]^U they must stay in, and what they save.

    A sparsity is the fraction saved in the measure ``compression``, here and wherever plans of the space are spoken of.
    """

    shape: ModelShape
    unit: UnitKind = "coupled"
    r_max: float = 0.6
    """Largest fraction a unit may lose, in (0, 1)."""
    compression: Compression = "parameters"
    """What a sparsity is a fraction of; other measures than parameters need their table."""
    tables: Costs = field(default_factory=Costs)
    """What forward passes cost, as far as it is known; of whole neurons, so ``rows`` have none."""

    def __post_init__(self) -> None:
        if not 0 < self.r_max < 1:
            raise BudgetError(f"r_max must lie strictly between 0 and 1, got {self.r_max:g}")
        for table in (self.tables.flops, self.tables.latency):
            if table is not None and len(table.units) != self.num_units:
                raise ValueError(f"a cost table of {len(table.units)} units for a space of {self.num_units}")
        assert self.compression == "parameters" or self._table, f"no table of {self.compression}"

    @property
    def num_units(self) -> int:
        """U: L for ``coupled``; 2L for ``rows``, where units 2l and 2l+1 are gate/up and down of block l."""
        return self.shape.num_blocks * (1 if self.unit == "coupled" else 2)

    @property
    def widths(self) -> Int[Ints, "units"]:
        """Neurons (``rows``: rows) of each unit, shape [U]."""
        neurons = np.array(self.shape.neurons, dtype=np.int64)
        if self.unit == "coupled":
            return neurons
        return np.stack([neurons, np.full_like(neurons, self.shape.hidden_size)], axis=1).reshape(-1)

    @property
    def costs(self) -> Int[Ints, "units"]:
        """Prunable parameters of one neuron (row) of each unit, shape [U]."""
        neurons = np.array(self.shape.neurons, dtype=np.int64)
        if self.unit == "coupled":
            return np.full_like(neurons, self.shape.neuron_parameters)
        gate_up = np.full_like(neurons, self.shape.neuron_parameters - self.shape.hidden_size)
        return np.stack([gate_up, neurons], axis=1).reshape(-1)

    @property
    def weights(self) -> Float[Floats, "units"]:
        """w_u: prunable parameters of each unit, shape [U]."""
        return (self.widths * self.costs).astype(np.float64)

    @property
    def _table(self) -> CostTable | None:
        """What the measure is read from; none for parameters."""
        return {"parameters": None, "flops": self.tables.flops, "latency": self.tables.latency}[
            self.compression
        ]

    @property
    def attainable(self) -> float:
        """The largest sparsity of the box: every unit loses r_max."""
        return float(self.saved(np.full(self.num_units, self.r_max)))

    def check_budget(self, sparsity: float) -> None:
        """Refuses a sparsity that no plan in the box reaches.

        Raises:
            BudgetError: if ``sparsity`` lies outside [0, r_max], or beyond what that saves in the measure.
        """
        if self.compression == "parameters" and not 0 <= sparsity <= self.r_max:
            raise BudgetError(
                f"a sparsity must lie in [0, {self.r_max:g}] because no unit may lose more than r_max = "
                f"{self.r_max:g}, got {sparsity:g}; ask for less or search with a larger --r-max"
            )
        if not 0 <= sparsity <= self.attainable:
            raise BudgetError(
                f"the fraction of {self.compression} to save must lie in [0, {self.attainable:.4g}], since even plans "
                f"that remove r_max = {self.r_max:g} of every unit save no more, got {sparsity:g}; ask for less "
                "(--sparsity; --s-min and --s-max of a search) or search with a larger --r-max"
            )

    def ratios(
        self,
        log_allocation: Float[Floats, "plans units"],
        sparsity: Float[Floats, "plans"],
        *,
        rule: Allocation = "waterfill",
        kappa: float = 1.0,
    ) -> Float[Floats, "plans units"]:
        """Eq. 8: ratios [P, U] of log-allocations [P, U] at target sparsities [P].

        In another measure than parameters the fraction of parameters is found by bisection: more removed along
        one allocation never saves less.

        Args:
            log_allocation: log a of Eq. 8, up to a constant a plan, [P, U].
            sparsity: what each plan saves, in [0, 1], [P].
            rule: what happens where the box cuts an allocation off.
            kappa: concentration κ > 0 of the allocation.

        Raises:
            BudgetError: if the box does not allow a target.
        """
        if self._table is None:
            return self._spread(log_allocation, sparsity, rule=rule, kappa=kappa)
        self.check_budget(float(sparsity.min()))
        self.check_budget(float(sparsity.max()))
        low, high = np.zeros(len(sparsity)), np.full(len(sparsity), self.r_max)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            short = self.saved(self._spread(log_allocation, middle, rule=rule, kappa=kappa)) < sparsity
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return self._spread(log_allocation, high, rule=rule, kappa=kappa)

    def _spread(
        self,
        log_allocation: Float[Floats, "plans units"],
        fraction: Float[Floats, "plans"],
        *,
        rule: Allocation,
        kappa: float,
    ) -> Float[Floats, "plans units"]:
        """Eq. 8 for fractions of the prunable parameters, [P]."""
        if rule == "paper":
            return paper_ratios(log_allocation, fraction, r_max=self.r_max, kappa=kappa)
        return waterfill_ratios(log_allocation, fraction, weights=self.weights, r_max=self.r_max, kappa=kappa)

    def saved(self, ratios: Float[Floats, "*plans units"]) -> Float[Reduced, "*plans"]:
        """Sparsity of ratios [..., U], [...]."""
        if self._table is not None:
            return self._table.saved(ratios)
        result: Floats = (ratios * (self.weights / self.weights.mean())).mean(axis=-1)
        return result

    def kept(
        self, ratios: Float[Floats, "plans units"], *, align: int = 1, rule: Allocation = "waterfill"
    ) -> Int[Ints, "plans units"]:
        """Whole neurons kept, [P, U], of ratios [P, U]; ``paper`` floors each unit on its own.

        Raises:
            BudgetError: if ``align`` leaves a unit no width, or alone removes more than the ratios do.
        """
        on_budget = rule == "waterfill"
        kept = kept_counts(
            ratios,
            widths=self.widths,
            costs=self._step_costs(ratios, align),
            r_max=self.r_max,
            align=align,
            on_budget=on_budget,
        )
        if on_budget and align > 1:
            self._check_alignment(ratios, align)
        return kept

    def _step_costs(
        self, ratios: Float[Floats, "plans units"], align: int
    ) -> Int[Ints, "units"] | Float[Floats, "plans units"]:
        """What a neuron costs in the measure: its parameters [U]; from a table, of those rounding may add, [P, U]."""
        if self._table is None:
            return self.costs
        kept = np.floor((1.0 - ratios) * self.widths / align) * align
        fewer, more = 1.0 - kept / self.widths, 1.0 - (kept + align) / self.widths
        costs = self._table.unit_costs(more) - self._table.unit_costs(fewer)
        return costs / max(costs.max(), np.finfo(np.float64).tiny)

    def _check_alignment(self, ratios: Float[Floats, "plans units"], align: int) -> None:
        """Refuses ratios that keep more than the aligned widths can, by more than a step of one unit."""
        least = float(self.sparsity(self.widths // align * align))
        step = float(self.saved(np.diag(np.minimum(align / self.widths, 1.0))).max())
        asked = float(self.saved(ratios).min())
        if asked < least - step:
            raise BudgetError(
                f"with --align {align} the smallest sparsity is {least:.4f}, since widths are rounded down to "
                f"multiples of it, but {asked:.4f} was asked for; use a smaller --align or more sparsity"
            )

    def check_met(
        self, kept: Int[Ints, "units"], asked: float, *, align: int, together: bool = False
    ) -> None:
        """Refuses a plan that misses the sparsity asked for by more than half a step of its alignment.

        Args:
            kept: kept counts, [U].
            asked: sparsity asked for.
            align: kept counts are multiples of this.
            together: whether all units step at once, as in plans of one width.

        Raises:
            BudgetError: saying what was asked for and what the nearest plan saves.
        """
        one_less = np.minimum(align / self.widths, 1.0)
        steps = self.saved(one_less if together else np.diag(one_less))
        got = float(self.sparsity(kept))
        if abs(got - asked) > float(np.max(steps)) / 2 + _ROUNDING:
            raise BudgetError(
                f"with widths that are multiples of {align} the nearest plan saves {got:.4f}, but {asked:g} was asked "
                f"for; use a smaller --align, or ask for {got:.4f}"
            )

    def sparsity(self, kept: Int[Ints, "*plans units"]) -> Float[Reduced, "*plans"]:
        """Realised sparsity s of kept counts [..., U]: the fraction saved of prunable parameters, FLOPs or seconds."""
        if self._table is not None:
            return self._table.saved(1.0 - kept / self.widths)
        removed = ((self.widths - kept) * self.costs).sum(axis=-1)
        result: Floats = removed / self.weights.sum()
        return result

    def ledger(self, kept: Int[Ints, "units"]) -> Ledger:
        """What one plan's kept counts [U] save, on every denominator."""
        return Ledger(**{name: float(saved) for name, saved in self.savings(kept).items()})

    def savings(self, kept: Int[Ints, "*plans units"]) -> dict[str, Float[Reduced, "*plans"]]:
        """What kept counts [..., U] save, by the names of the ledger's fields that are known, each [...]."""
        removed = ((self.widths - kept) * self.costs).sum(axis=-1)
        shape = self.shape
        parameters = {
            "mlp": self.weights.sum(),
            "block": shape.block_parameters,
            "language": shape.language_parameters,
            "model": shape.total_parameters,
        }
        tables = {"flops": self.tables.flops, "latency": self.tables.latency}
        measured = {name: table for name, table in tables.items() if table is not None}
        return {name: removed / total for name, total in parameters.items()} | {
            name: table.saved(1.0 - kept / self.widths) for name, table in measured.items()
        }
