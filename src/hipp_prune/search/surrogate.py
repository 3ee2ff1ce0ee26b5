"""A monotone additive-quadratic surrogate of the objectives, and the best plan it knows for any preference.

f_k(r) = c_m − Σ_u (α_ku r_u + β_ku r_u²), α, β ≥ 0, for k = robustness, utility: removing neurons never helps,
and a block's last neurons hurt most. c_m is one level a minibatch, since plans are comparable only within one.
Twice as many coefficients as units, so a hundred evaluations tell something; the optimum for a preference is
separable and convex, solved exactly in microseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hipp_prune.allocation import Floats
from hipp_prune.plan import PlanSpace
from hipp_prune.search.archive import Evaluation, kept_matrix, objective_matrix

_PENALTIES = np.geomspace(1e-3, 1e2, 11)
_FOLDS = 5
_TIE_BREAK = 1e-3
"""Weight of the quality objectives that a preference ignores, so that "compression only" still gets a sane plan."""


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """Fitted damage of removing neurons; K = 2 quality objectives, U units."""

    linear: Floats
    """α ≥ 0, [2, U]."""
    quadratic: Floats
    """β ≥ 0, [2, U]."""

    def damage(self, ratios: Floats) -> Floats:
        """Predicted loss of (R_rob, R_util) against dense, ≥ 0, [P, 2], of ratios [P, U]."""
        return ratios @ self.linear.T + ratios**2 @ self.quadratic.T


def fit_surrogate(evaluations: Sequence[Evaluation], space: PlanSpace) -> Surrogate:
    """Fits the surrogate to an archive: non-negative ridge towards equal damage in every unit.

    The ridge's strength is chosen for each objective by cross-validation over whole evaluations.
    """
    rows = list(evaluations)
    ratios = 1.0 - kept_matrix(rows) / space.widths
    objectives = objective_matrix(rows)[:, :2]
    groups = np.unique([row.minibatch for row in rows], return_inverse=True)[1]
    features = _centred(np.concatenate([ratios, ratios**2], axis=1), groups)
    targets = -_centred(objectives, groups)
    coefficients = np.array([_cross_validated(features, targets[:, k]) for k in range(2)])
    return Surrogate(
        linear=coefficients[:, : space.num_units],
        quadratic=coefficients[:, space.num_units :],
    )


def best_ratios(
    surrogate: Surrogate,
    space: PlanSpace,
    preferences: Floats,
    budget: Floats,
    *,
    scale: Floats,
    compression_range: tuple[float, float],
    grid: int = 33,
) -> tuple[Floats, Floats]:
    """The plans that maximise Σ_k λ_k R_k/σ_k on the surrogate, one for each preference and budget interval.

    Args:
        surrogate: fitted damages.
        space: units, weights and box.
        preferences: λ, [P, 3].
        budget: intervals (s_min, s_max), [P, 2].
        scale: σ of (R_rob, R_util, R_comp), [3]; an objective with σ = 0 counts nothing.
        compression_range: sparsities between which R_comp rises from 0 to 1.
        grid: sparsities tried in each interval.

    Returns:
        Ratios [P, U] and sparsities [P].
    """
    weights = np.divide(preferences, scale, out=np.zeros_like(preferences), where=scale > 0)
    quality = weights[:, :2] + _TIE_BREAK * np.divide(1.0, scale[:2], out=np.zeros(2), where=scale[:2] > 0)
    linear, quadratic = quality @ surrogate.linear, quality @ surrogate.quadratic
    low, high = compression_range
    best = np.full(len(preferences), -np.inf)
    ratios = np.zeros((len(preferences), space.num_units))
    sparsities = np.zeros(len(preferences))
    for fraction in np.linspace(0.0, 1.0, grid):
        target = budget[:, 0] + fraction * (budget[:, 1] - budget[:, 0])
        candidate = _cheapest(linear, quadratic, target, space)
        cost = (linear * candidate + quadratic * candidate**2).sum(axis=1)
        gain = weights[:, 2] * np.clip((target - low) / max(high - low, 1e-12), 0.0, 1.0)
        better = gain - cost > best
        best = np.where(better, gain - cost, best)
        ratios[better], sparsities[better] = candidate[better], target[better]
    return ratios, sparsities


def _cheapest(linear: Floats, quadratic: Floats, target: Floats, space: PlanSpace) -> Floats:
    """Ratios [P, U] of least damage at sparsities ``target`` [P]: bisection on the price ν of a parameter.

    At the optimum r_u = clip((ν w_u − α_u)/(2 β_u), 0, r_max).
    """
    w = space.weights / space.weights.mean()
    curvature = 2 * quadratic + 1e-3 * (linear + 2 * quadratic).mean(axis=1, keepdims=True) + 1e-12
    low = np.zeros(len(target))
    high = ((linear + curvature * space.r_max) / w).max(axis=1)
    for _ in range(60):
        price = (low + high) / 2
        ratios = np.clip((price[:, None] * w - linear) / curvature, 0.0, space.r_max)
        over = (ratios * w).mean(axis=1) > target
        low, high = np.where(over, low, price), np.where(over, price, high)
    return ratios


def _centred(values: Floats, groups: np.ndarray) -> Floats:
    """Values minus the mean of their group, so that each group's level drops out."""
    counts = np.bincount(groups)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, groups, values)
    centred: Floats = values - (sums / counts[:, None])[groups]
    return centred


def _cross_validated(features: Floats, target: Floats) -> Floats:
    """Coefficients with the ridge that predicts held-out evaluations best."""
    folds = np.arange(len(target)) % _FOLDS
    errors = np.zeros(len(_PENALTIES))
    for fold in range(_FOLDS):
        train, held_out = folds != fold, folds == fold
        for index, penalty in enumerate(_PENALTIES):
            coefficients = _non_negative_ridge(features[train], target[train], penalty)
            errors[index] += ((features[held_out] @ coefficients - target[held_out]) ** 2).sum()
    return _non_negative_ridge(features, target, _PENALTIES[errors.argmin()])


def _non_negative_ridge(features: Floats, target: Floats, penalty: float, *, sweeps: int = 60) -> Floats:
    """argmin_θ ≥ 0 of ‖Xθ − y‖² + ρ‖θ − θ₀‖² by coordinate descent; θ₀ damages every unit alike."""
    half = features.shape[1] // 2
    pooled = np.stack([features[:, :half].sum(axis=1), features[:, half:].sum(axis=1)], axis=1)
    prior = np.repeat(_descend(pooled.T @ pooled, pooled.T @ target, np.zeros(2), sweeps), half)
    gram = features.T @ features
    ridge = penalty * np.trace(gram) / len(gram)
    gram[np.diag_indices_from(gram)] += ridge
    return _descend(gram, features.T @ target + ridge * prior, prior, sweeps)


def _descend(gram: Floats, linear: Floats, start: Floats, sweeps: int) -> Floats:
    """Non-negative minimiser of ½ θᵀGθ − bᵀθ by cyclic coordinate descent."""
    theta = start.copy()
    for _ in range(sweeps):
        for index in range(len(theta)):
            curvature = gram[index, index]
            if curvature > 0:
                gradient = gram[index] @ theta - linear[index]
                theta[index] = max(0.0, theta[index] - gradient / curvature)
    return theta
