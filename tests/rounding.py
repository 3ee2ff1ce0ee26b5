"""Matrix products that round as if every number of rows ran through another kernel.

Libraries choose the order of a sum by the shapes, and which shapes share an order depends on the processor: a test that
compares the bits of two shapes may pass here for ever and fail on the next machine. Here each number of rows adds up
its products in an order of its own, on every machine; equal shapes still give equal bits.
"""

import warnings
from functools import lru_cache

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("aten", "IMPL")


def round_by_shape() -> None:
    """Replaces the products of matrices on the CPU, for the rest of this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a kernel is replaced is what is meant
        for name, product in {"mm": _mm, "addmm": _addmm, "bmm": _bmm, "baddbmm": _baddbmm}.items():
            _LIBRARY.impl(name, product, "CPU")


@lru_cache(maxsize=4096)
def _order(length: int, batch: int, rows: int) -> Tensor:
    return torch.randperm(length, generator=torch.Generator().manual_seed(1000 * batch + rows))


def _shuffled(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    order = _order(left.shape[-1], len(left) if left.dim() == 3 else 0, left.shape[-2])
    return left.index_select(-1, order), right.index_select(-2, order)


def _mm(left: Tensor, right: Tensor) -> Tensor:
    out = left.new_empty(left.shape[0], right.shape[1])
    return torch.mm(*_shuffled(left, right), out=out)


def _addmm(bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    out = left.new_empty(left.shape[0], right.shape[1])
    return torch.addmm(bias, *_shuffled(left, right), beta=beta, alpha=alpha, out=out)


def _bmm(left: Tensor, right: Tensor) -> Tensor:
    out = left.new_empty(*left.shape[:2], right.shape[2])
    return torch.bmm(*_shuffled(left, right), out=out)


def _baddbmm(bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    out = left.new_empty(*left.shape[:2], right.shape[2])
    return torch.baddbmm(bias, *_shuffled(left, right), beta=beta, alpha=alpha, out=out)
