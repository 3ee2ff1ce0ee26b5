"""Preference vectors λ = (λ_rob, λ_util, λ_comp) on the simplex: validation, anchors, sampling (Eq. 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hipp_prune.errors import PreferenceError

OBJECTIVES = ("robustness", "utility", "compression")
"""The K = 3 objectives, in the order of every objective and preference vector."""

ANCHORS: NDArray[np.float64] = np.array(
    [
        [1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0],
        [0.5, 0.5, 0.0],
        [0.5, 0.0, 0.5],
        [0.0, 0.5, 0.5],
        [1 / 3, 1 / 3, 1 / 3],
    ]
)
"""Vertices, edge midpoints and centre of the simplex, shape [7, 3]."""


@dataclass(frozen=True, kw_only=True)
class Preference:
    """One point of the simplex: non-negative weights that sum to one.

    Raises:
        PreferenceError: if a weight is negative or not finite, or if all are zero.
    """

    robustness: float
    """Weight of hallucination robustness."""
    utility: float
    """Weight of task utility."""
    compression: float
    """Weight of being small, whatever a saving is a fraction of."""

    def __post_init__(self) -> None:
        weights = (self.robustness, self.utility, self.compression)
        total = sum(weights)
        if not (math.isfinite(total) and min(weights) >= 0):
            raise PreferenceError(
                f"a preference needs three finite numbers ≥ 0 (robustness,utility,compression), got {weights}"
            )
        if total == 0:
            raise PreferenceError("a preference needs at least one weight above zero, got 0,0,0; try 1,1,1")
        if math.isclose(total, 1.0, rel_tol=1e-12):
            total = 1.0  # normalised already: reading a stored preference changes no bit
        for name, weight in zip(OBJECTIVES, weights, strict=True):
            object.__setattr__(self, name, weight / total)

    @classmethod
    def parse(cls, text: str) -> "Preference":
        """Reads ``R,U,C``, e.g. ``1,0,0`` or ``2,1,1``; weights are normalised to sum to one.

        Raises:
            PreferenceError: if ``text`` is not three numbers separated by commas.
        """
        parts = text.split(",")
        try:
            weights = [float(part) for part in parts]
        except ValueError:
            weights = []
        if len(weights) != len(OBJECTIVES):
            raise PreferenceError(
                f"a preference is three numbers R,U,C (robustness,utility,compression), e.g. 2,1,1; got {text!r}"
            )
        return cls.of(weights)

    @classmethod
    def of(cls, weights: Sequence[float] | NDArray[np.float64]) -> "Preference":
        """The preference with these three weights, in the order of ``OBJECTIVES``."""
        robustness, utility, compression = (float(weight) for weight in weights)
        return cls(robustness=robustness, utility=utility, compression=compression)

    @property
    def vector(self) -> NDArray[np.float64]:
        """The weights in the order of ``OBJECTIVES``, shape [3], summing to one."""
        return np.array([self.robustness, self.utility, self.compression])

    @property
    def robustness_share(self) -> float:
        """Robustness's share of what weighs on quality, in [0, 1]; a half where neither accuracy weighs anything."""
        quality = self.robustness + self.utility
        return self.robustness / quality if quality else 0.5

    def __str__(self) -> str:
        return ",".join(f"{weight:.3g}" for weight in self.vector)


def sample_preferences(
    rng: np.random.Generator, count: int, *, anchor_fraction: float = 0.5, concentration: float = 1.0
) -> NDArray[np.float64]:
    """Draws training preferences from the paper's mixture of discrete anchors and a Dirichlet.

    Anchors cover the boundary of the simplex (a Dirichlet reaches a vertex with probability zero), the
    Dirichlet its interior.

    Args:
        rng: source of randomness.
        count: number of preferences.
        anchor_fraction: probability in [0, 1] that a draw is an anchor; 1 and 0 are the ablations of Table 4.
        concentration: Dirichlet parameter > 0, equal for the three objectives; 1 is uniform on the simplex.

    Returns:
        Preferences, shape [count, 3], rows summing to one.
    """
    anchors = ANCHORS[rng.integers(len(ANCHORS), size=count)]
    interior = rng.dirichlet(np.full(len(OBJECTIVES), concentration), size=count)
    is_anchor = rng.random(count) < anchor_fraction
    return np.where(is_anchor[:, None], anchors, interior)
