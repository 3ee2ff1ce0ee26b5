"""What a forward pass costs by how much each unit keeps: FLOPs counted or seconds measured, without torch.

A table says for every unit what it costs at evenly spaced widths; between them the cost is linear. FLOPs are linear
throughout, so two widths say it all. ``models.costs`` makes the tables of a loaded model.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from hipp_prune.plans.arrays import Float, Floats, Reduced

Cost = Annotated[float, Ge(0), Le(1e30)]
"""FLOPs or seconds."""
Compression = Literal["parameters", "flops", "latency"]
"""What a saving is a fraction of: prunable MLP parameters, or FLOPs or seconds of the language model's forward pass."""


@dataclass(frozen=True, kw_only=True)
class CostTable:
    """cost(r) = constant + Σ_u table_u(1 − r_u), for ratios r removed of U units."""

    constant: Cost
    """Cost of what no plan removes: attention, norms, head; ≥ 0."""
    units: tuple[tuple[Cost, ...], ...]
    """Cost of each unit when it keeps 0, 1/(K−1), …, 1 of its width, [U, K], K ≥ 2; never falls with the width."""
    conditions: str
    """What was counted, or where and how it was measured."""

    def __post_init__(self) -> None:
        if self._table.ndim != 2 or self._table.shape[1] < 2 or np.any(np.diff(self._table) < 0):
            raise ValueError("a cost table needs at least two widths a unit, and costs that do not fall")
        if not (self.constant >= 0 and np.isfinite(self.dense) and self.dense > 0):
            raise ValueError("the costs of a forward pass must be finite and above zero")

    @cached_property
    def _table(self) -> Float[Floats, "units widths"]:
        return np.array(self.units, dtype=np.float64)

    @cached_property
    def dense(self) -> float:
        """Cost of the whole forward pass before pruning."""
        return self.constant + float(self._table[:, -1].sum())

    def unit_costs(self, ratios: Float[Floats, "*plans units"]) -> Float[Floats, "*plans units"]:
        """Cost of every unit at ratios [..., U], [..., U]."""
        last = self._table.shape[1] - 1
        place = np.clip((1.0 - ratios) * last, 0.0, last)
        below = np.minimum(place.astype(np.int64), last - 1)
        units = np.arange(len(self._table))
        low, high = self._table[units, below], self._table[units, below + 1]
        result: Float[Floats, "*plans units"] = low + (place - below) * (high - low)
        return result

    def saved(self, ratios: Float[Floats, "*plans units"]) -> Float[Reduced, "*plans"]:
        """Fraction of the dense cost that ratios [..., U] save, [...]."""
        removed = (self._table[:, -1] - self.unit_costs(ratios)).sum(axis=-1)
        result: Floats = removed / self.dense
        return result


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The cost tables known of a model."""

    flops: CostTable | None = None
    """Of one question of average length."""
    latency: CostTable | None = None
    """Seconds of a batch, measured."""


def rising(values: Float[Floats, "n"], weights: Float[Floats, "n"] | None = None) -> Float[Floats, "n"]:
    """The non-decreasing values nearest to ``values`` [N] in weighted squares: pool adjacent violators."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, np.ones(len(values)) if weights is None else weights, strict=True):
        pool = (float(value), float(weight), 1)
        while pools and pools[-1][0] >= pool[0]:
            mean, mass, count = pools.pop()
            total = mass + pool[1]
            pool = ((mean * mass + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    return np.repeat([mean for mean, _, _ in pools], [count for _, _, count in pools])
