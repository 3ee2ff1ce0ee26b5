"""How far apart two computations of one number may be, and why.

A sum of floating-point numbers is rounded in the order in which it is added up, and that order depends on shapes,
batch, threads, place in memory, the processor's instructions and the library's version. Equal bits are therefore asked
only of what is copied, restored or replayed: the same operations on the same shapes, in one process or in processes of
the same settings. All else agrees up to the figures below, each a share of the largest magnitude compared.
"""

import torch
from numpy.typing import ArrayLike
from torch import Tensor

LOGITS = 3e-5
"""Logits and features of tiny float32 models, padded or packed otherwise, masked or cut, merged, exported or reloaded.
Seen: 1.6e-6. A weight that is missing or at another place moves them by 1e-2 and more."""
GRADIENTS = 1e-4
"""Gradients of such models, whose sums run over all tokens of a batch too. Seen: 3e-6."""
CLEAR = 3e-4
"""A best logit that leads by this share is the best in every computation: ten times what LOGITS allows."""


def assert_agree(found: Tensor | ArrayLike, expected: Tensor | ArrayLike, rounding: float = LOGITS) -> None:
    """Asserts equal shapes and types, and values that differ by rounding only; infinities must be the same."""
    found, expected = (torch.as_tensor(values).detach() for values in (found, expected))
    finite = expected[expected.isfinite()]
    largest = float(finite.abs().max()) if finite.numel() else 0.0
    torch.testing.assert_close(
        found, expected, rtol=0, atol=rounding * largest if found.is_floating_point() else 0
    )


def assert_clear(scores: Tensor) -> None:
    """Asserts that no choice among ``scores``, [steps, V], is a near tie that another machine may decide otherwise.

    For tests that compare greedy tokens. Where it fails, the test's own model needs another seed.
    """
    best, second = scores.float().topk(2, dim=-1).values.unbind(-1)
    assert (best - second).min() > CLEAR * scores[scores.isfinite()].abs().max(), (
        "a near tie: choose another seed"
    )


def assert_greedy(tokens: ArrayLike, scores: Tensor | ArrayLike, rounding: float = LOGITS) -> None:
    """Asserts that each token's score is the largest of its row of ``scores``, [steps, V], up to rounding."""
    scores = torch.as_tensor(scores).detach()
    chosen = scores.gather(-1, torch.as_tensor(tokens).long()[:, None])[:, 0]
    limit = rounding * scores[scores.isfinite()].abs().max()
    assert (chosen >= scores.amax(-1) - limit).all()
