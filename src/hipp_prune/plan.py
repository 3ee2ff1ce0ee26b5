"""A pruning plan, the space it lives in, and its JSON file (Eq. 1, Eq. 4).

A plan says how many neurons each unit keeps. Nothing here needs torch: a plan can be made, read, checked and
printed without loading a model.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hipp_prune.allocation import Floats, Ints, kept_counts, paper_ratios, waterfill_ratios
from hipp_prune.choices import Allocation, Compression, UnitKind
from hipp_prune.costs import Costs, CostTable
from hipp_prune.errors import BudgetError, PlanError
from hipp_prune.preference import Preference

PLAN_FORMAT = 2
"""Version of the plan file; a reader refuses any other. 2: cost tables and what they say a plan saves."""

_BISECTIONS = 50
"""Halvings of [0, r_max] that find the parameters to remove for a saving in another measure."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What a plan needs to know of a model: its prunable widths and the denominators of sparsity."""

    family: str
    """transformers' ``model_type``, e.g. ``llava``."""
    fingerprint: str
    """Hash of architecture and weights: a plan fits exactly one model."""
    hidden_size: int
    """Width of the residual stream."""
    neurons: tuple[int, ...]
    """MLP neurons of each block of the language backbone, length L."""
    neuron_parameters: int
    """Parameters that leave with one neuron: a gate row, an up row, a down column (and two biases)."""
    block_parameters: int
    """Parameters of all L blocks together: attention, MLP and norms."""
    language_parameters: int
    """Parameters of the language model with its embeddings and head (a tied head counted once)."""
    total_parameters: int
    """Parameters of the whole VLM."""

    @property
    def num_blocks(self) -> int:
        """L."""
        return len(self.neurons)


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What a plan saves, on every denominator ("22.5%" alone is ambiguous), each a fraction in [0, 1]."""

    mlp: float
    """Of the prunable MLP parameters: the fraction of neurons, where blocks are alike."""
    block: float
    """Of the parameters of all language blocks."""
    language: float
    """Of the language model."""
    model: float
    """Of the whole VLM."""
    flops: float | None = None
    """Of the FLOPs of the language model's forward pass; none where they were not counted."""
    latency: float | None = None
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
    def widths(self) -> Ints:
        """Neurons (``rows``: rows) of each unit, shape [U]."""
        neurons = np.array(self.shape.neurons, dtype=np.int64)
        if self.unit == "coupled":
            return neurons
        return np.stack([neurons, np.full_like(neurons, self.shape.hidden_size)], axis=1).reshape(-1)

    @property
    def costs(self) -> Ints:
        """Prunable parameters of one neuron (row) of each unit, shape [U]."""
        neurons = np.array(self.shape.neurons, dtype=np.int64)
        if self.unit == "coupled":
            return np.full_like(neurons, self.shape.neuron_parameters)
        gate_up = np.full_like(neurons, self.shape.neuron_parameters - self.shape.hidden_size)
        return np.stack([gate_up, neurons], axis=1).reshape(-1)

    @property
    def weights(self) -> Floats:
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
        self, log_allocation: Floats, sparsity: Floats, *, rule: Allocation = "waterfill", kappa: float = 1.0
    ) -> Floats:
        """Eq. 8: ratios [P, U] of log-allocations [P, U] at target sparsities [P].

        In another measure than parameters the fraction of parameters is found by bisection: more removed along
        one allocation never saves less.

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

    def _spread(self, log_allocation: Floats, fraction: Floats, *, rule: Allocation, kappa: float) -> Floats:
        """Eq. 8 for fractions of the prunable parameters, [P]."""
        if rule == "paper":
            return paper_ratios(log_allocation, fraction, r_max=self.r_max, kappa=kappa)
        return waterfill_ratios(log_allocation, fraction, weights=self.weights, r_max=self.r_max, kappa=kappa)

    def saved(self, ratios: Floats) -> Floats:
        """Sparsity of ratios [..., U], [...]."""
        if self._table is not None:
            return self._table.saved(ratios)
        result: Floats = (ratios * (self.weights / self.weights.mean())).mean(axis=-1)
        return result

    def kept(self, ratios: Floats, *, align: int = 1, rule: Allocation = "waterfill") -> Ints:
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

    def _step_costs(self, ratios: Floats, align: int) -> Ints | Floats:
        """What a neuron costs in the measure: its parameters [U]; from a table, of those rounding may add, [P, U]."""
        if self._table is None:
            return self.costs
        kept = np.floor((1.0 - ratios) * self.widths / align) * align
        fewer, more = 1.0 - kept / self.widths, 1.0 - (kept + align) / self.widths
        costs = self._table.unit_costs(more) - self._table.unit_costs(fewer)
        return costs / max(costs.max(), np.finfo(np.float64).tiny)

    def _check_alignment(self, ratios: Floats, align: int) -> None:
        """Refuses ratios that keep more than the aligned widths can, by more than a step of one unit."""
        least = float(self.sparsity(self.widths // align * align))
        step = float(self.saved(np.diag(np.minimum(align / self.widths, 1.0))).max())
        asked = float(self.saved(ratios).min())
        if asked < least - step:
            raise BudgetError(
                f"with --align {align} the smallest sparsity is {least:.4f}, since widths are rounded down to "
                f"multiples of it, but {asked:.4f} was asked for; use a smaller --align or more sparsity"
            )

    def sparsity(self, kept: Ints) -> Floats:
        """Realised sparsity s of kept counts [..., U]: the fraction saved of prunable parameters, FLOPs or seconds."""
        if self._table is not None:
            return self._table.saved(1.0 - kept / self.widths)
        removed = ((self.widths - kept) * self.costs).sum(axis=-1)
        result: Floats = removed / self.weights.sum()
        return result

    def ledger(self, kept: Ints) -> Ledger:
        """What one plan's kept counts [U] save, on every denominator."""
        return Ledger(**{name: float(saved) for name, saved in self.savings(kept).items()})

    def savings(self, kept: Ints) -> dict[str, Floats]:
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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many and which neurons each unit keeps; self-contained, so that ``prune`` needs nothing else."""

    shape: ModelShape
    """The model the plan was made for."""
    unit: UnitKind
    kept: tuple[int, ...]
    """Neurons (``rows``: rows) kept by each unit, length U."""
    masks: tuple[bytes, ...]
    """Packed keep-bits (``numpy.packbits``): one mask a block for ``coupled``; gate, up, down for ``rows``."""
    ledger: Ledger
    tables: Costs = field(default_factory=Costs)
    """What the ledger's FLOPs and seconds were read from."""
    importance: str
    """Criterion that ranked the neurons (Eq. 10 or a named one)."""
    preference: Preference | None = None
    """λ it answers, if a policy made it."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Provenance: run, target sparsity, alignment, seed."""

    @property
    def space(self) -> PlanSpace:
        """The plan's space, with a box just wide enough to hold it."""
        return PlanSpace(shape=self.shape, unit=self.unit, r_max=1 - 1e-9, tables=self.tables)

    @property
    def ratios(self) -> Floats:
        """Fraction removed of each unit, shape [U]."""
        widths = self.space.widths
        result: Floats = 1.0 - np.array(self.kept) / widths
        return result

    @property
    def mask_widths(self) -> tuple[int, ...]:
        """Length in bits of each mask."""
        if self.unit == "coupled":
            return self.shape.neurons
        return tuple(width for n in self.shape.neurons for width in (n, n, self.shape.hidden_size))

    def keep_masks(self) -> list[NDArray[np.bool_]]:
        """Boolean keep-masks in the order of ``masks``."""
        return [
            np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=width).astype(bool)
            for packed, width in zip(self.masks, self.mask_widths, strict=True)
        ]

    def check_model(self, shape: ModelShape) -> None:
        """Refuses a model the plan was not made for.

        Raises:
            PlanError: naming what differs: family, block widths, or weights.
        """
        ours = self.shape
        if shape.family != ours.family:
            raise PlanError(f"the plan was made for a {ours.family} model, this one is {shape.family}")
        if shape.neurons != ours.neurons or shape.hidden_size != ours.hidden_size:
            raise PlanError(
                f"the plan was made for {ours.num_blocks} blocks of {_span(ours.neurons)} neurons (hidden size "
                f"{ours.hidden_size}), this model has {shape.num_blocks} of {_span(shape.neurons)} (hidden size "
                f"{shape.hidden_size}); make a plan for this model with `hipp-prune query`"
            )
        if shape.fingerprint != ours.fingerprint:
            raise PlanError(
                f"the plan was made for other weights (fingerprint {ours.fingerprint}, this model has "
                f"{shape.fingerprint}); calibrate and search this model, or give the model the plan was made for"
            )

    def to_json(self) -> str:
        """The plan file's text."""
        content = {
            "format": PLAN_FORMAT,
            "unit": self.unit,
            "kept": list(self.kept),
            "ratios": [round(float(ratio), 6) for ratio in self.ratios],
            "sparsity": asdict(self.ledger),
            "costs": asdict(self.tables),
            "preference": None if self.preference is None else asdict(self.preference),
            "importance": self.importance,
            "model": asdict(self.shape),
            "notes": self.notes,
            "masks": [base64.b64encode(mask).decode("ascii") for mask in self.masks],
        }
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str = "plan") -> "Plan":
        """Reads a plan file's text and checks that it is consistent.

        Raises:
            PlanError: if it is not JSON, lacks a field, or contradicts itself.
        """
        try:
            content = json.loads(text)
            if content["format"] != PLAN_FORMAT:
                raise PlanError(
                    f"{source}: expected plan format {PLAN_FORMAT}, found {content['format']!r}; write the plan again "
                    "with `hipp-prune query`"
                )
            model = content["model"]
            preference = content["preference"]
            plan = cls(
                shape=ModelShape(**{**model, "neurons": tuple(model["neurons"])}),
                unit=content["unit"],
                kept=tuple(int(count) for count in content["kept"]),
                masks=tuple(base64.b64decode(mask, validate=True) for mask in content["masks"]),
                ledger=Ledger(**content["sparsity"]),
                tables=Costs.from_dict(content["costs"]),
                importance=content["importance"],
                preference=None if preference is None else Preference(**preference),
                notes=content["notes"],
            )
            plan._check(source)
        except PlanError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise PlanError(
                f"{source}: expected a plan written by `hipp-prune query`, but reading it failed with "
                f"{type(error).__name__}: {error}"
            ) from error
        return plan

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Reads a plan file.

        Raises:
            PlanError: if there is no such file, or it is not a plan.
        """
        if not path.is_file():
            raise PlanError(
                f"no plan file at {path}; write one with `hipp-prune query RUN --preference R,U,C --out`"
            )
        return cls.from_json(path.read_text(encoding="utf-8", errors="replace"), source=str(path))

    def _check(self, source: str) -> None:
        if self.unit not in ("coupled", "rows"):
            raise PlanError(f"{source}: unit must be coupled or rows, found {self.unit!r}")
        if len(self.kept) != self.space.num_units or len(self.masks) != len(self.mask_widths):
            raise PlanError(
                f"{source}: {len(self.kept)} units and {len(self.masks)} masks do not fit the model"
            )
        counts = tuple(int(mask.sum()) for mask in self.keep_masks())
        if self.unit == "rows":
            if counts[0::3] != counts[1::3]:
                raise PlanError(f"{source}: the masks of gate and up keep different numbers of rows")
            counts = tuple(c for pair in zip(counts[0::3], counts[2::3], strict=True) for c in pair)
        if counts != self.kept:
            raise PlanError(f"{source}: the masks keep {counts} neurons, the counts say {self.kept}")
        ledger = self.space.ledger(np.array(self.kept))
        said, found = (np.array(astuple(each), dtype=np.float64) for each in (self.ledger, ledger))
        if not np.allclose(said, found, rtol=0, atol=1e-9, equal_nan=True):
            raise PlanError(f"{source}: the counts mean a sparsity of {ledger}, the file says {self.ledger}")


def keep_masks(unit: UnitKind, orders: Sequence[Ints], kept: Sequence[int]) -> list[NDArray[np.bool_]]:
    """Boolean keep-masks, in original order, of a plan that keeps the best of each ranking.

    Args:
        unit: what a unit is.
        orders: neurons of each block, most important first; ``rows``: gate, up and down rows of each block.
        kept: kept counts, length U.
    """
    counts = list(kept)
    if unit == "rows":
        counts = [
            count
            for gate_up, down in zip(kept[::2], kept[1::2], strict=True)
            for count in (gate_up, gate_up, down)
        ]
    masks = []
    for order, count in zip(orders, counts, strict=True):
        mask = np.zeros(len(order), dtype=np.bool_)
        mask[order[:count]] = True
        masks.append(mask)
    return masks


def pack_masks(masks: Sequence[NDArray[np.bool_]]) -> tuple[bytes, ...]:
    """Keep-masks as stored in a plan."""
    return tuple(np.packbits(mask).tobytes() for mask in masks)


def _span(counts: tuple[int, ...]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)}–{max(counts)}"
