"""The acceptable band of the stability ℓ, and the gate that refuses what lies outside (Eq. 14–15; no torch)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hipp_prune.plans.arrays import Float, Floats

BandKind = Literal["conditional", "paper"]
"""Eq. 14. ``conditional``: quantiles of ℓ given the sparsity; ``paper``: of ℓ itself, which punishes both ends
of the budget because ℓ mostly follows the sparsity."""


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
    """95% quantile of the same."""
    beta: float
    """Slope β > 0 of the gate."""
    gamma: float = 1.0
    """Slope γ > 0 of the band loss outside the band."""

    def residual(
        self, log_ratio: Float[Floats, "plans"], sparsity: Float[Floats, "plans"]
    ) -> Float[Floats, "plans"]:
        """ℓ minus what is usual at this sparsity, [P]; ℓ itself for an unconditional band."""
        if not self.knots_s:
            return log_ratio
        return log_ratio - np.interp(sparsity, self.knots_s, self.knots_l)

    def loss(
        self, log_ratio: Float[Floats, "plans"], sparsity: Float[Floats, "plans"], *, widening: float = 0.0
    ) -> Float[Floats, "plans"]:
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

    def gate(
        self, log_ratio: Float[Floats, "plans"], sparsity: Float[Floats, "plans"], *, widening: float = 0.0
    ) -> Float[Floats, "plans"]:
        """Eq. 15: g = exp(−β L_band) in (0, 1], [P]; exactly 1 inside the band, 0 only where ℓ = −∞."""
        return np.exp(-self.beta * self.loss(log_ratio, sparsity, widening=widening))


def calibrate_band(
    log_ratio: Float[Floats, "plans"],
    sparsity: Float[Floats, "plans"],
    *,
    kind: BandKind = "conditional",
    gamma: float = 1.0,
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


def _non_increasing_fit(
    x: Float[Floats, "plans"], y: Float[Floats, "plans"]
) -> tuple[Float[Floats, "knots"], Float[Floats, "knots"]]:
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
