"""Compensation: the neurons of a block that stay answer for those that leave, by least squares on the input of down.

Let a ∈ R^N be that input, G = E[a aᵀ] its Gram matrix over calibration tokens, P the neurons that stay and R those that
leave. The block computes W a; without R it can compute W'_P a_P, and what comes closest is

    W'_P = argmin_V E‖W a − V a_P‖² + μ ‖V − W_P‖² = W_P + W_R G_RP (G_PP + μ I)⁻¹.            (ridge)

**All widths at once.** Neurons are sorted once, so P is always a prefix of that order. In it, let G + μ I = C Cᵀ, C
lower triangular. The leading block of C is the factor of G_PP + μ I whatever the width k, therefore

    W'(k) = (W C)[:, :k] C[:k, :k]⁻¹,                                                            (nested)
    e(k) = Σ_{j ≥ k} ‖(W C)[:, j]‖² = E‖W a − W'(k) a_P‖² + μ ‖W − [W'(k), 0]‖²:                 (error)

one factorisation a block, then a triangular solve a width, and the error curve of all widths for nothing.

No gradient, no label, no new tensor. Compensation is never worse than none on the calibration tokens: V = W_P is among
the candidates. What it does to other texts it cannot know (``docs/compensation.md``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hipp_prune.plans.arrays import Float

RIDGE_FACTORS = (1e-5, 1e-4, 1e-3, 1e-2)
"""μ as a multiple of the mean diagonal of G: what is chosen from on held-out tokens."""

DEFAULT_FACTOR = 1e-4
"""Where no token was held out."""

_EXACT_WIDTH = 4096
"""Up to so many neurons a block is factorised in float64 at once; beyond, float32 is tried first."""
_CHOOSING_ROWS = 512
"""Rows of W, or up to twice as many, whose errors choose the ridge."""
_COLUMNS = 2048
"""Columns of W C that are computed together."""
_STRIP = 512
"""Rows or columns of G that change places together."""
_PROBES = 8
_TOLERANCE = 1e-3
"""Largest ‖(A − C Cᵀ) v‖ / ‖A v‖ of random v at which a factor in float32 is good enough."""


@dataclass(frozen=True, kw_only=True)
class Nested:
    """The down projection of one block, fitted anew for every number of neurons it may keep."""

    factor: Float[Tensor, "neurons neurons"]
    """C, lower triangular: G + μ I = C Cᵀ, neurons in the order in which they stay."""
    product: Float[Tensor, "hidden neurons"]
    """W C."""
    ridge: float
    """μ > 0, what is added to the diagonal of G."""

    def weight(self, width: int) -> Float[Tensor, "hidden width"]:
        """W'(k) for the first ``width`` neurons, in [0, N]: one triangular solve; W itself for k = N."""
        return torch.linalg.solve_triangular(
            self.factor[:width, :width], self.product[:, :width], upper=False, left=False
        )

    def errors(self) -> Float[Tensor, "widths"]:
        """e(k) for k = 0 … N, float64 [N + 1]: the squared output error a token, and μ times that of the weights."""
        energy = self.product.double().square().sum(0)
        none_left = energy.new_zeros(1)
        return torch.cat([energy.flip(0).cumsum(0).flip(0), none_left])


def nest(
    gram: Float[Tensor, "neurons neurons"], weight: Float[Tensor, "hidden neurons"], ridge: float
) -> Nested:
    """Factorises a block once, for all widths.

    Args:
        gram: G, symmetric and positive semidefinite, of any rank; neurons in the order in which they stay.
        weight: W, its columns in that order.
        ridge: μ > 0, see ``ridge_strength``.
    """
    factor, ridge = _cholesky(gram, ridge)
    return Nested(factor=factor, product=_times_lower(weight.to(factor.dtype), factor), ridge=ridge)


def fit_kept(
    gram: Float[Tensor, "neurons neurons"],
    weight: Float[Tensor, "hidden neurons"],
    keep: Tensor,
    ridge: float,
) -> Float[Tensor, "hidden kept"]:
    """W'_P for one set of neurons, whatever the order: what ``Nested.weight`` is for a prefix, up to rounding.

    Args:
        gram: G, neurons in their original order.
        weight: W, likewise.
        keep: True where a neuron stays, bool [N].
        ridge: μ > 0.
    """
    order = torch.cat([keep.nonzero()[:, 0], (~keep).nonzero()[:, 0]])
    return fit_prefixes(reorder(gram.clone(), order), weight[:, order], [int(keep.sum())], ridge)[0]


def reorder(gram: Float[Tensor, "neurons neurons"], order: Tensor) -> Float[Tensor, "neurons neurons"]:
    """G of the neurons in another order, in the memory it has: a second G of 11,008 neurons would be 485 MB.

    Args:
        gram: G, which is changed.
        order: of its neurons, int64 [N].
    """
    for start in range(0, len(gram), _STRIP):
        rows = gram[start : start + _STRIP]
        rows.copy_(rows[:, order])
    for start in range(0, len(gram), _STRIP):
        columns = gram[:, start : start + _STRIP]
        columns.copy_(columns[order])
    return gram


def fit_prefixes(
    gram: Float[Tensor, "neurons neurons"],
    weight: Float[Tensor, "rows neurons"],
    widths: Sequence[int],
    ridge: float,
) -> list[Float[Tensor, "rows _"]]:
    """W'(k) for few widths k: what ``Nested.weight`` is, up to rounding, and cheaper, since only G_PP is factorised.

    Args:
        gram: G, neurons in the order in which they stay.
        weight: W, or some of its rows: they do not depend on each other.
        widths: in [0, N], at least one.
        ridge: μ > 0.
    """
    widest = max(widths)
    factor, _ = _cholesky(gram[:widest, :widest], ridge)
    exact, fits = weight.to(gram.dtype), []
    for width in widths:
        lost = (exact[:, width:] @ gram[width:, :width]).to(factor.dtype)
        lower = factor[:width, :width]
        halfway = torch.linalg.solve_triangular(lower.mT, lost, upper=True, left=False)
        fits.append(exact[:, :width] + torch.linalg.solve_triangular(lower, halfway, upper=False, left=False))
    return fits


def correct(
    gram: Float[Tensor, "kept kept"], cross: Float[Tensor, "hidden kept"], ridge: float
) -> Float[Tensor, "hidden kept"]:
    """V − W_P = argmin_D Σ ω ‖ρ − D a_P‖² + μ ‖D‖², for any target of which W_P leaves ρ.

    Args:
        gram: Σ ω a_P a_Pᵀ.
        cross: Σ ω ρ a_Pᵀ.
        ridge: μ > 0.
    """
    factor, _ = _cholesky(gram, ridge)
    return torch.cholesky_solve(cross.to(factor.dtype).T, factor).T


def explained(
    gram: Float[Tensor, "kept kept"],
    cross: Float[Tensor, "hidden kept"],
    correction: Float[Tensor, "hidden kept"],
) -> float:
    """Σ ω ‖ρ‖² − Σ ω ‖ρ − D a_P‖²: what a correction D takes off the error; below zero if it adds to it.

    Args:
        gram: Σ ω a_P a_Pᵀ of the tokens in question.
        cross: their Σ ω ρ a_Pᵀ.
        correction: D.
    """
    exact = correction.to(gram.dtype)
    return float(2 * (exact * cross).sum() - ((exact @ gram) * exact).sum())


def ridge_strength(gram: Float[Tensor, "neurons neurons"], factor: float) -> float:
    """μ = factor · mean diag G; 1 where nothing ever fires, and every μ gives W back."""
    return factor * float(gram.diagonal().double().mean()) or 1.0


def output_error(
    original: Float[Tensor, "hidden neurons"],
    fitted: Float[Tensor, "hidden width"],
    inputs: Float[Tensor, "tokens neurons"],
) -> float:
    """Σ ‖W a − V a_P‖² over tokens, P the first neurons.

    Args:
        original: W.
        fitted: V, of the first neurons alone.
        inputs: a of each token, neurons in W's order.
    """
    exact = inputs.to(original.dtype)
    missing = exact @ original.T - exact[:, : fitted.shape[1]] @ fitted.to(original.dtype).T
    return float(missing.double().square().sum())


def choose_factor(
    blocks: Sequence[Callable[[], tuple[Tensor, Tensor, Tensor]]], shares: Sequence[float] = (0.75, 0.5)
) -> float:
    """The ridge factor of ``RIDGE_FACTORS`` whose fit says most about tokens that it has not seen.

    Each block and width counts alike: its held-out error as a fraction of the error of no compensation.

    Args:
        blocks: makes (G [N, N], W [hidden, N], held-out inputs [tokens, N]) of some blocks, one in memory at a time,
            neurons in the order in which they stay. A sample of W's rows is fitted.
        shares: of the neurons, the widths at which the error is taken.
    """
    totals = [
        sum(errors) for errors in zip(*(_held_out_errors(*block(), shares) for block in blocks), strict=True)
    ]
    best = min(range(len(totals)), key=totals.__getitem__)
    return RIDGE_FACTORS[best] if totals[best] > 0 else DEFAULT_FACTOR


def _held_out_errors(gram: Tensor, weight: Tensor, inputs: Tensor, shares: Sequence[float]) -> list[float]:
    """One block's errors under each ridge factor, as fractions of the error of no compensation, added over widths."""
    errors = [0.0] * len(RIDGE_FACTORS)
    if not len(inputs):
        return errors
    widths = [max(1, round(share * weight.shape[1])) for share in shares]
    weight = weight[:: max(1, len(weight) // _CHOOSING_ROWS)]
    plain = [output_error(weight.double(), weight[:, :width], inputs) for width in widths]
    for index, factor in enumerate(RIDGE_FACTORS):
        fits = fit_prefixes(gram, weight, widths, ridge_strength(gram, factor))
        for fitted, most in zip(fits, plain, strict=True):
            if most > 0:
                errors[index] += output_error(weight.double(), fitted, inputs) / most
    return errors


def mean_bias(
    weight: Float[Tensor, "hidden neurons"], mean: Float[Tensor, "neurons"], keep: Tensor, bias: Tensor | None
) -> Float[Tensor, "hidden"]:
    """b + W (E[a] ⊙ removed), float64 [hidden]: the mean of what leaves stays as a bias of down (FLAP's).

    Args:
        weight: W of down.
        mean: E[a] of its input.
        keep: True where a neuron stays, bool [N].
        bias: b, if down has one.
    """
    lost = weight.double() @ mean.double().masked_fill(keep, 0)
    return lost if bias is None else lost + bias.double()


def _cholesky(gram: Tensor, ridge: float) -> tuple[Tensor, float]:
    """C with G + μ I = C Cᵀ, and the μ that it took.

    In float64; where that is large, in float32, if it is found good enough. Where rounding left G indefinite by more
    than μ, μ grows tenfold until it is not: in float32 already, if G itself was summed in it.
    """
    assert torch.isfinite(gram.diagonal()).all(), "a Gram matrix that is not finite"
    if len(gram) > _EXACT_WIDTH:
        factor = _factorise(gram, ridge, torch.float32)
        while factor is None and gram.dtype == torch.float32:  # its own rounding, which no precision undoes
            ridge *= 10
            factor = _factorise(gram, ridge, torch.float32)
        if factor is not None and _is_factor(gram, factor, ridge):
            return factor, ridge
        del factor
    while (factor := _factorise(gram, ridge, torch.float64)) is None:
        ridge *= 10
    return factor, ridge


def _factorise(gram: Tensor, ridge: float, dtype: torch.dtype) -> Tensor | None:
    """The Cholesky factor, made in place in the one copy of G that it takes; None, and no copy, of an indefinite G."""
    copy = gram.to(dtype, copy=True, memory_format=torch.contiguous_format)
    copy.diagonal().add_(ridge)
    factor = copy.mT  # by columns, as LAPACK has it
    info = torch.empty((), dtype=torch.int32, device=gram.device)
    torch.linalg.cholesky_ex(factor, out=(factor, info))
    return None if info else factor


def _times_lower(weight: Tensor, factor: Tensor) -> Tensor:
    """W C, without the half of C that is zero."""
    starts = range(0, len(factor), _COLUMNS)
    panels = [weight[:, start:] @ factor[start:, start : start + _COLUMNS] for start in starts]
    return torch.cat(panels, dim=1) if panels else weight


def _is_factor(gram: Tensor, factor: Tensor, ridge: float) -> bool:
    """Whether C Cᵀ agrees with G + μ I on a few random vectors."""
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(len(gram), _PROBES, generator=generator).to(gram)
    expected = gram @ probes + ridge * probes
    found = factor @ (factor.T @ probes.to(factor))
    return bool((found - expected).norm() <= _TOLERANCE * expected.norm())
