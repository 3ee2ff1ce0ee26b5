"""SynFlow stability: the log-ratio ℓ, its acceptable band, and the gate (Eq. 13–15).

ℓ needs no forward pass. With neurons sorted once, the flow a block keeps is a cumulative sum, so ℓ of a
``coupled`` plan costs one look-up a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hipp_prune.plans.arrays import Bools, Floats, Ints
from hipp_prune.plans.choices import BandKind

Projections = tuple[Tensor, Tensor, Tensor]
"""Weights of gate [n, H], up [n, H] and down [H, n] of one block."""


def inflow(gate: Tensor, up: Tensor) -> Tensor:
    """(|W_gate| 1 ⊙ |W_up| 1)^½: absolute flow into each neuron, float64, [n]."""
    gate_flow, up_flow = (weight.detach().abs().sum(dim=1, dtype=torch.float64) for weight in (gate, up))
    return (gate_flow * up_flow).sqrt()


def neuron_flow(gate: Tensor, up: Tensor, down: Tensor) -> Floats:
    """Flow through each neuron, 1ᵀ|W_down| diag(inflow), [n]; their sum is SF_l of the dense block."""
    outflow = down.detach().abs().sum(dim=0, dtype=torch.float64)
    result: Floats = (inflow(gate, up) * outflow).cpu().numpy()
    return result


def synflow_table(flows: Sequence[Floats]) -> list[Floats]:
    """log SF_l(k) − log SF_l(n) for every kept count k.

    Args:
        flows: of each block's neurons, most important neuron first, [n] each.

    Returns:
        For each block, shape [n + 1]: entry k is block l's share of ℓ if its first k neurons stay.
    """
    tables = []
    for flow in flows:
        kept = np.concatenate([[0.0], np.cumsum(flow)])
        with np.errstate(divide="ignore"):
            tables.append(np.log(kept) - np.log(kept[-1]))
    return tables


def coupled_log_ratio(tables: Sequence[Floats], kept: Ints) -> Floats:
    """Eq. 13 for ``coupled`` plans: ℓ = Σ_l log SF_l(k_l) − log SF_l(n_l).

    Args:
        tables: from ``synflow_table``.
        kept: kept counts, [P, L].

    Returns:
        ℓ ≤ 0 of each plan, [P].
    """
    result: Floats = np.sum([table[kept[:, block]] for block, table in enumerate(tables)], axis=0)
    return result


def rows_log_ratio(projections: Sequence[Projections], masks: Sequence[Bools]) -> float:
    """Eq. 13 for a ``rows`` plan, computed directly from its masks (gate, up, down of each block)."""
    total = 0.0
    for block, (gate, up, down) in enumerate(projections):
        keep_gate, keep_up, keep_down = (
            torch.from_numpy(m).to(gate.device) for m in masks[3 * block : 3 * block + 3]
        )
        arriving = inflow(gate, up)
        magnitudes = down.detach().abs().double()
        kept = float((magnitudes @ (arriving * (keep_gate & keep_up)))[keep_down].sum())
        dense = float((magnitudes @ arriving).sum())
        total += np.log(kept / dense) if kept > 0 else -np.inf
    return float(total)


def chained_log_flow(projections: Sequence[Projections], masks: Sequence[Bools] | None = None) -> float:
    """Eq. 13's literal chain, log 1ᵀ Π_l |M_l ⊙ W_l| 1, through gate, up and down of all blocks (``paper``).

    Gate and up stand side by side, so a block maps x to |W_down| (|W_gate| x ⊙ |W_up| x)^½; the vector is
    rescaled after each block and the scales are summed as logarithms, in fp64.

    Args:
        projections: weights of all blocks.
        masks: keep-masks of gate, up and down rows of each block; none for the dense model.
    """
    vector = projections[0][0].new_ones(projections[0][0].shape[1], dtype=torch.float64)
    log_scale = 0.0
    for block, (gate, up, down) in enumerate(projections):
        vector = vector.to(gate.device)
        flow = ((gate.detach().abs().double() @ vector) * (up.detach().abs().double() @ vector)).sqrt()
        keep = (
            None
            if masks is None
            else [torch.from_numpy(m).to(flow) for m in masks[3 * block : 3 * block + 3]]
        )
        vector = down.detach().abs().double() @ (flow if keep is None else flow * keep[0] * keep[1])
        vector = vector if keep is None else vector * keep[2]
        peak = float(vector.max())
        if peak == 0:
            return -np.inf
        vector = vector / peak
        log_scale += np.log(peak)
    return float(log_scale + np.log(float(vector.sum())))


@dataclass(frozen=True, kw_only=True)
class StabilityBand:
    """Acceptable interval of ℓ and the slope of the gate, calibrated on warm-up plans (Eq. 14–15)."""

    knots_s: tuple[float, ...]
    """Sparsities of the monotone fit of ℓ on s (``paper``: none)."""
    knots_l: tuple[float, ...]
    """Fitted ℓ there, non-increasing."""
    b_lo: float
    """5% quantile of the residual of ℓ (``paper``: of ℓ)."""
    b_hi: float
    """95% quantile."""
    beta: float
    """Slope β > 0 of the gate."""
    gamma: float = 1.0
    """Slope γ > 0 of the band loss outside the band."""

    def residual(self, log_ratio: Floats, sparsity: Floats) -> Floats:
        """ℓ minus what is usual at this sparsity, [P]; ℓ itself for an unconditional band."""
        if not self.knots_s:
            return log_ratio
        return log_ratio - np.interp(sparsity, self.knots_s, self.knots_l)

    def loss(self, log_ratio: Floats, sparsity: Floats, *, widening: float = 0.0) -> Floats:
        """Eq. 14: γ [max(0, b_lo − ℓ) + max(0, ℓ − b_hi)], [P].

        Args:
            log_ratio: ℓ of each plan, [P].
            sparsity: s of each plan, [P].
            widening: by how many times its width the band still extends on each side (annealed to 0).
        """
        slack = widening * (self.b_hi - self.b_lo)
        residual = self.residual(log_ratio, sparsity)
        below = np.maximum(0.0, self.b_lo - slack - residual)
        above = np.maximum(0.0, residual - self.b_hi - slack)
        return self.gamma * (below + above)

    def gate(self, log_ratio: Floats, sparsity: Floats, *, widening: float = 0.0) -> Floats:
        """Eq. 15: g = exp(−β L_band) in (0, 1], [P]; exactly 1 inside the band, 0 only where ℓ = −∞."""
        return np.exp(-self.beta * self.loss(log_ratio, sparsity, widening=widening))


def calibrate_band(
    log_ratio: Floats, sparsity: Floats, *, kind: BandKind = "conditional", gamma: float = 1.0
) -> StabilityBand:
    """The band of warm-up plans: 5%/95% quantiles, and β such that g ≥ 0.9 for 95% of them.

    Plans with a dead block (ℓ = −∞, possible for ``rows``) are left out: they are what the band is there to refuse.

    Args:
        log_ratio: ℓ of warm-up plans, [P].
        sparsity: their s, [P].
        kind: quantiles of ℓ given s (default), or of ℓ.
        gamma: slope γ of the band loss.
    """
    alive = np.isfinite(log_ratio)
    log_ratio, sparsity = log_ratio[alive], sparsity[alive]
    knots_s: Floats = np.array([])
    knots_l: Floats = np.array([])
    if kind == "conditional":
        knots_s, knots_l = _non_increasing_fit(sparsity, log_ratio)
    draft = StabilityBand(
        knots_s=tuple(knots_s.tolist()),
        knots_l=tuple(knots_l.tolist()),
        b_lo=0.0,
        b_hi=0.0,
        beta=1.0,
        gamma=gamma,
    )
    low, high = np.quantile(draft.residual(log_ratio, sparsity), [0.05, 0.95])
    banded = _replace(draft, b_lo=float(low), b_hi=float(high))
    worst = float(np.quantile(banded.loss(log_ratio, sparsity), 0.95))
    tolerated = max(worst, 1e-6 + 0.1 * gamma * float(high - low))
    return _replace(banded, beta=-np.log(0.9) / tolerated)


def _replace(band: StabilityBand, **changes: float) -> StabilityBand:
    return StabilityBand(**{**band.__dict__, **changes})


def _non_increasing_fit(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Isotonic regression (pool adjacent violators) of y, non-increasing in x: knots of a step-wise mean."""
    order = np.argsort(x, kind="stable")
    pools: list[list[float]] = []
    for xi, yi in zip(x[order], y[order], strict=True):
        pools.append([float(xi), float(yi), 1.0])
        while len(pools) > 1 and pools[-1][1] >= pools[-2][1]:
            last, before = pools.pop(), pools.pop()
            weight = last[2] + before[2]
            pools.append(
                [(v * last[2] + w * before[2]) / weight for v, w in zip(last[:2], before[:2], strict=True)]
            )
            pools[-1].append(weight)
    knots = np.array(pools)
    return knots[:, 0], knots[:, 1]
