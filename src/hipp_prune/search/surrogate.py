"""A monotone additive-cubic surrogate of the objectives, and the best plan it knows for any preference.

f_k(r) = c_m − Σ_u (α_ku r_u + β_ku r_u² + γ_ku r_u³), α, β, γ ≥ 0, for k = robustness, utility: removing neurons
never helps, and a block's last neurons hurt most. c_m is one level a minibatch, since plans are comparable only
within one. Three coefficients a unit, so a hundred evaluations tell something; the optimum for a preference is
separable and convex, solved in closed form up to the price of a parameter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hipp_prune.plans.arrays import Float, Floats, Int, Ints
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Evaluation, kept_matrix, objective_matrix

_PENALTIES = np.geomspace(1e-3, 1e2, 11)
_FOLDS = 5
_BLOCK_EXCHANGES = 20
_MOST_EXCHANGES = 500
_BISECTIONS = 45
_POWERS = (1, 2, 3)
"""Powers of a ratio in the damage of a unit."""
_TIE_BREAK = 1e-3
"""Weight of the quality objectives that a preference ignores, so that "compression only" still gets a sane plan."""


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """Fitted damage of removing neurons; K = 2 quality objectives, U units."""

    linear: Float[Floats, "objectives units"]
    """α ≥ 0, [2, U]."""
    quadratic: Float[Floats, "objectives units"]
    """β ≥ 0, [2, U]."""
    cubic: Float[Floats, "objectives units"]
    """γ ≥ 0, [2, U]."""

    def damage(self, ratios: Float[Floats, "plans units"]) -> Float[Floats, "plans objectives"]:
        """Predicted loss of (R_rob, R_util) against dense, ≥ 0, [P, 2], of ratios [P, U]."""
        return ratios @ self.linear.T + ratios**2 @ self.quadratic.T + ratios**3 @ self.cubic.T


def fit_surrogate(evaluations: Sequence[Evaluation], space: PlanSpace) -> Surrogate:
    """Fits the surrogate to an archive: non-negative ridge towards equal damage in every unit.

    The ridge's strength is chosen for each objective by cross-validation over whole evaluations. Without any
    evaluation nothing does damage.
    """
    rows = list(evaluations)
    if not rows:
        nothing = np.zeros((2, space.num_units))
        return Surrogate(linear=nothing, quadratic=nothing, cubic=nothing)
    assert len({row.compensation for row in rows}) == 1, (
        "plans of two modes of compensation tell nothing together"
    )
    ratios = 1.0 - kept_matrix(rows) / space.widths
    objectives = objective_matrix(rows)[:, :2]
    groups = np.unique([row.minibatch for row in rows], return_inverse=True)[1]
    weights = np.array([row.questions for row in rows], dtype=np.float64)
    features = _centred(np.concatenate([ratios**power for power in _POWERS], axis=1), groups, weights)
    targets = -_centred(objectives, groups, weights)
    linear, quadratic, cubic = np.split(_cross_validated(features, targets).T, len(_POWERS), axis=1)
    return Surrogate(linear=linear, quadratic=quadratic, cubic=cubic)


def best_ratios(
    surrogate: Surrogate,
    space: PlanSpace,
    preferences: Float[Floats, "plans 3"],
    budget: Float[Floats, "plans 2"],
    *,
    scale: Float[Floats, "3"],
    compression_range: tuple[float, float],
    grid: int = 33,
) -> tuple[Float[Floats, "plans units"], Float[Floats, "plans"]]:
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
    blend = Surrogate(
        linear=quality @ surrogate.linear,
        quadratic=quality @ surrogate.quadratic,
        cubic=quality @ surrogate.cubic,
    )
    fractions = np.linspace(0.0, 1.0, grid)
    targets = budget[:, :1] + fractions * (budget[:, 1:] - budget[:, :1])
    ratios = _cheapest(blend, targets, space)
    cost = (
        blend.linear[:, None] * ratios
        + blend.quadratic[:, None] * ratios**2
        + blend.cubic[:, None] * ratios**3
    ).sum(axis=2)
    low, high = compression_range
    gain = weights[:, 2:] * np.clip((targets - low) / max(high - low, 1e-12), 0.0, 1.0)
    rows, best = np.arange(len(preferences)), (gain - cost).argmax(axis=1)
    return ratios[rows, best], targets[rows, best]


def _cheapest(
    damage: Surrogate, targets: Float[Floats, "plans grid"], space: PlanSpace
) -> Float[Floats, "plans grid units"]:
    """Ratios [P, S, U] of least damage at sparsities [P, S], P blends of objectives: bisection on a price.

    With ν the price of a parameter, the optimum solves α_u + 2 β_u r + 3 γ_u r² = ν w_u inside the box.
    """
    w = space.weights / space.weights.mean()
    slope = damage.linear + 2 * damage.quadratic + 3 * damage.cubic
    linear = damage.linear[:, None]
    quadratic = (damage.quadratic + 1e-3 * slope.mean(axis=1, keepdims=True) + 1e-12)[:, None]
    cubic = 3 * damage.cubic[:, None]
    low = np.zeros(targets.shape)
    steepest = linear + 2 * quadratic * space.r_max + cubic * space.r_max**2
    high = np.broadcast_to((steepest / w).max(axis=2), targets.shape)
    for _ in range(_BISECTIONS):
        price = (low + high) / 2
        gain = np.maximum(price[..., None] * w - linear, 0.0)
        ratios = np.minimum(gain / (quadratic + np.sqrt(quadratic**2 + cubic * gain)), space.r_max)
        over = space.saved(ratios) > targets
        low, high = np.where(over, low, price), np.where(over, price, high)
    return ratios


def _centred(
    values: Float[Floats, "evaluations columns"],
    groups: Int[Ints, "evaluations"],
    weights: Float[Floats, "evaluations"],
) -> Float[Floats, "evaluations columns"]:
    """Values [N, D] minus the mean of their group, so that its level drops out, times √weight.

    Evaluations of one group have one weight; a mean over n questions has 1/n of a question's variance.
    """
    counts = np.bincount(groups)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, groups, values)
    centred: Float[Floats, "evaluations columns"] = (values - (sums / counts[:, None])[groups]) * np.sqrt(
        weights / weights.mean()
    )[:, None]
    return centred


@dataclass(frozen=True)
class _Moments:
    """What least squares needs of a set of evaluations; D features, K objectives."""

    gram: Float[Floats, "features features"]
    """XᵀX, [D, D]."""
    cross: Float[Floats, "features objectives"]
    """Xᵀy, [D, K]."""
    square: Float[Floats, "objectives"]
    """yᵀy of each objective, [K]."""

    @classmethod
    def of(
        cls, features: Float[Floats, "evaluations features"], targets: Float[Floats, "evaluations objectives"]
    ) -> "_Moments":
        return cls(features.T @ features, features.T @ targets, (targets**2).sum(axis=0))

    def __sub__(self, other: "_Moments") -> "_Moments":
        return _Moments(self.gram - other.gram, self.cross - other.cross, self.square - other.square)

    def errors(
        self, coefficients: Float[Floats, "penalties features objectives"]
    ) -> Float[Floats, "penalties objectives"]:
        """‖y − Xθ‖² of coefficients [B, D, K], [B, K]."""
        fitted = np.einsum("bdk,de,bek->bk", coefficients, self.gram, coefficients)
        result: Float[Floats, "penalties objectives"] = (
            fitted - 2 * (coefficients * self.cross).sum(axis=1) + self.square
        )
        return result


def _cross_validated(
    features: Float[Floats, "evaluations features"], targets: Float[Floats, "evaluations objectives"]
) -> Float[Floats, "features objectives"]:
    """Coefficients [D, K] with the ridge that predicts held-out evaluations of each objective best."""
    whole = _Moments.of(features, targets)
    folds = np.arange(len(targets)) % _FOLDS
    errors = np.zeros((len(_PENALTIES), targets.shape[1]))
    for fold in range(_FOLDS):
        held_out = _Moments.of(features[folds == fold], targets[folds == fold])
        errors += held_out.errors(_non_negative_ridge(whole - held_out, _PENALTIES))
    best = _PENALTIES[errors.argmin(axis=0)]
    fitted = _non_negative_ridge(whole, best)
    return np.stack([fitted[k, :, k] for k in range(targets.shape[1])], axis=1)


def _non_negative_ridge(
    moments: _Moments, penalties: Float[Floats, "penalties"]
) -> Float[Floats, "penalties features objectives"]:
    """argmin_θ ≥ 0 of ‖Xθ − y‖² + ρ‖θ − θ₀‖² for each penalty ρ [B], [B, D, K]; θ₀ damages every unit alike."""
    size = len(moments.gram)
    pool = np.kron(np.eye(len(_POWERS)), np.ones((size // len(_POWERS), 1)))
    mean = np.trace(moments.gram) / size
    pooled = pool.T @ moments.gram @ pool + 1e-9 * (mean + 1.0) * np.eye(len(_POWERS))
    prior = pool @ _non_negative(pooled[None], (pool.T @ moments.cross)[None])[0]
    ridge = penalties * mean + 1e-12
    return _non_negative(
        moments.gram + ridge[:, None, None] * np.eye(size), moments.cross + ridge[:, None, None] * prior
    )


def _non_negative(
    gram: Float[Floats, "systems features features"], linear: Float[Floats, "systems features objectives"]
) -> Float[Floats, "systems features objectives"]:
    """Non-negative minimisers of ½ θᵀGθ − bᵀθ by block principal pivoting (Portugal, Júdice & Vicente, 1994).

    Coefficients on the wrong side of their bound change sides, all at once; if that does not settle, one at a
    time (Murty's rule), which ends for certain.

    Args:
        gram: G, positive definite, [B, D, D].
        linear: b, [B, D, K].

    Returns:
        θ, [B, D, K].
    """
    gram = gram[:, None]
    linear = linear.transpose(0, 2, 1)
    tolerance = 1e-10 * np.abs(linear).max(axis=2, keepdims=True)
    identity = np.eye(linear.shape[2])
    free = np.ones_like(linear, dtype=bool)
    for exchange in range(_MOST_EXCHANGES):
        both = free[..., :, None] & free[..., None, :]
        system = np.where(both, gram, 0.0) + ~free[..., None] * identity
        theta = np.linalg.solve(system, np.where(free, linear, 0.0)[..., None])[..., 0]
        slope = (gram @ theta[..., None])[..., 0] - linear
        wrong = np.where(free, theta < 0, slope < -tolerance)
        if not wrong.any():
            break
        if exchange >= _BLOCK_EXCHANGES:
            wrong &= np.cumsum(wrong[..., ::-1], axis=2)[..., ::-1] == 1
        free ^= wrong
    result: Float[Floats, "systems features objectives"] = np.maximum(theta, 0.0).transpose(0, 2, 1)
    return result
