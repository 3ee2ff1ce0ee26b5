"""Compensation of a loaded model: which parameters of a block change, to what, when so many of its neurons stay.

A search asks for thousands of plans: ``compensate`` prepares every block once, in the order of its neurons, and then
answers by (block, width), from a cache bounded in bytes. A checkpoint is written for one plan: ``fitted_downs`` and
``down_biases`` say what its down projections hold, up to rounding what the search evaluated.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.errors import InputError, RunError
from hipp_prune.files.manifest import check_whole
from hipp_prune.files.writing import atomic_path
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.arrays import Bools, Ints
from hipp_prune.plans.modes import Compensation
from hipp_prune.pruning.compensation import (
    Nested,
    choose_factor,
    fit_kept,
    mean_bias,
    nest,
    reorder,
    ridge_strength,
)
from hipp_prune.pruning.importance import score_neurons

_IN_MEMORY = 2**30
"""Bytes of factors that stay in memory; more lie in files, mapped."""
_CACHE = 2**26
"""Bytes of fitted weights that are kept in any case; a model's own down projections, where these are more."""
_CHOOSING_BLOCKS = 4
"""Blocks whose held-out errors choose the ridge."""

DownWeight = Callable[[int, Tensor], Tensor]
"""From a block's index and its W [hidden, N] to the columns that a plan keeps, fitted anew, [hidden, kept]."""


class Compensated(Protocol):
    """What changes in a sorted model beside what a plan cuts off."""

    def values(self, block: int, width: int) -> Sequence[tuple[Tensor, Tensor]]:
        """Parameters and what they hold where the block keeps its first ``width`` neurons."""

    def error_curves(self) -> list[Tensor]:
        """What every width of each block leaves of its output's error, float64 [N + 1] each; none where not fitted."""

    def release(self) -> None:
        """Takes away what was added to the model."""


class RidgeDowns:
    """``ridge``: W'(k) in place of the first k columns of W.

    Args:
        adapter: the dense model, its neurons in original order.
        grams: its Gram matrices.
        orders: of each block's neurons, the most important first.
        image_weight: of image tokens, see ``Moments.rms``.
        folder: for factors that memory does not hold; without one all stay in memory. Those found there of the same
            neurons in the same order are not made again.
    """

    def __init__(
        self,
        adapter: Adapter,
        grams: Grams,
        orders: Sequence[Ints],
        *,
        image_weight: float | None,
        folder: Path | None = None,
    ) -> None:
        self._downs: list[Tensor] = [block.down.weight for block in adapter.blocks]
        in_files = folder if sum(8 * len(order) ** 2 for order in orders) > _IN_MEMORY else None
        self._nested = [
            _nested(
                down,
                grams.gram(block, image_weight),
                order,
                grams.factor,
                None if in_files is None else in_files / f"{block}.safetensors",
            )
            for block, (down, order) in enumerate(zip(self._downs, orders, strict=True))
        ]
        self._most = max(_CACHE, sum(down.nbytes for down in self._downs))
        self._cache: OrderedDict[tuple[int, int], Tensor] = OrderedDict()

    def values(self, block: int, width: int) -> list[tuple[Tensor, Tensor]]:
        """W'(k), from the cache if it was asked for lately; W itself where all neurons stay."""
        down = self._downs[block]
        if width == len(self._nested[block].factor):
            return []
        key = block, width
        if key not in self._cache:
            self._cache[key] = self._nested[block].weight(width).to(device=down.device, dtype=down.dtype)
        self._cache.move_to_end(key)
        while sum(fitted.nbytes for fitted in self._cache.values()) > self._most and len(self._cache) > 1:
            self._cache.popitem(last=False)
        return [(down, self._cache[key])]

    def error_curves(self) -> list[Tensor]:
        """e(k) of each block for k = 0 … N, float64 [N + 1] each; see ``Nested.errors``."""
        return [nested.errors() for nested in self._nested]

    def release(self) -> None:
        """Nothing was added."""


class BiasDowns:
    """``bias``: b + Σ_{j ≥ k} E[a_j] W[:, j] in place of b; down gets a bias for as long if it has none.

    Args:
        adapter: the dense model, its neurons in original order.
        calibration: its statistics.
        orders: of each block's neurons, the most important first.
        image_weight: of image tokens, see ``Moments.rms``.
    """

    def __init__(
        self,
        adapter: Adapter,
        calibration: Calibration,
        orders: Sequence[Ints],
        *,
        image_weight: float | None,
    ) -> None:
        self._downs = [block.down for block in adapter.blocks]
        self._added = [down for down in self._downs if down.bias is None]
        self._before = [None if down.bias is None else down.bias.detach().clone() for down in self._downs]
        self._weights = [down.weight.data for down in self._downs]
        self._means = [
            moments.mean(image_weight)[order.copy()].to(down.weight.device)
            for moments, order, down in zip(calibration.neurons, orders, self._downs, strict=True)
        ]
        for down in self._added:
            down.bias = nn.Parameter(down.weight.new_zeros(down.out_features), requires_grad=False)

    def values(self, block: int, width: int) -> list[tuple[Tensor, Tensor]]:
        """The bias of a width: the weights are sorted by now."""
        weight, bias = self._weights[block], self._downs[block].bias
        assert bias is not None
        keep = torch.arange(weight.shape[1], device=weight.device) < width
        return [(bias, mean_bias(weight, self._means[block], keep, self._before[block]).to(weight.dtype))]

    def error_curves(self) -> list[Tensor]:
        """None: a mean is no fit."""
        return []

    def release(self) -> None:
        """Takes the biases away again that were not there."""
        for down in self._added:
            down.register_parameter("bias", None)


def compensate(
    mode: Compensation,
    adapter: Adapter,
    calibration: Calibration,
    orders: Sequence[Ints],
    *,
    grams: Grams | None,
    image_weight: float | None,
    folder: Path | None = None,
) -> Compensated | None:
    """A model made ready for plans of one order; None where nothing is compensated.

    Args:
        mode: how.
        adapter: the dense model, its neurons in original order.
        calibration: its statistics.
        orders: of each block's neurons, the most important first.
        grams: its Gram matrices, which ``ridge`` needs.
        image_weight: of image tokens, see ``Moments.rms``.
        folder: for factors that memory does not hold.

    Raises:
        InputError: if ``ridge`` has no Gram matrices.
    """
    if mode == "none":
        return None
    if mode == "bias":
        return BiasDowns(adapter, calibration, orders, image_weight=image_weight)
    return RidgeDowns(adapter, require_grams(grams), orders, image_weight=image_weight, folder=folder)


def require_grams(grams: Grams | None) -> Grams:
    """The Gram matrices, which compensation by least squares cannot do without.

    Raises:
        InputError: if there are none.
    """
    if grams is None:
        raise InputError(
            "ridge compensation needs the Gram matrices of a run, which it has not; start it with `hipp-prune "
            "calibrate --compensation ridge`, or choose --compensation bias or none"
        )
    return grams


def fitted_downs(grams: Grams, masks: Sequence[Bools], image_weight: float | None) -> DownWeight:
    """What ``ridge`` makes of the down projections of one plan.

    Args:
        grams: of the dense model.
        masks: True where a neuron of a block stays, in original order.
        image_weight: of image tokens, see ``Moments.rms``.
    """

    def fitted(block: int, weight: Tensor) -> Tensor:
        keep = torch.from_numpy(masks[block])
        if keep.all():
            return weight
        gram = grams.gram(block, image_weight)
        return fit_kept(gram, weight, keep, ridge_strength(gram, grams.factor))

    return fitted


def made_before(downs: Sequence[Tensor]) -> DownWeight:
    """What was fitted already, [hidden, kept] a block, for whoever writes a checkpoint."""
    return lambda block, _: downs[block]


@torch.no_grad()
def down_biases(
    adapter: Adapter, calibration: Calibration, masks: Sequence[Bools], image_weight: float | None
) -> list[Tensor]:
    """What ``bias`` makes of the down projections' biases under one plan, float64 [hidden] a block.

    Args:
        adapter: the dense model, its neurons in original order.
        calibration: its statistics.
        masks: True where a neuron of a block stays, in original order.
        image_weight: of image tokens, see ``Moments.rms``.
    """
    parts = zip(adapter.blocks, calibration.neurons, masks, strict=True)
    return [
        mean_bias(
            block.down.weight.cpu(),
            moments.mean(image_weight),
            torch.from_numpy(mask),
            None if block.down.bias is None else block.down.bias.cpu(),
        )
        for block, moments, mask in parts
    ]


@torch.no_grad()
def choose_ridge(
    adapter: Adapter, calibration: Calibration, grams: Grams, image_weight: float | None = 0.5
) -> float:
    """The ridge factor that held-out tokens prefer, on a few blocks, neurons in the default order.

    Args:
        adapter: the dense model, its neurons in original order.
        calibration: its statistics.
        grams: its Gram matrices and held-out tokens.
        image_weight: of image tokens, see ``Moments.rms``.
    """
    scores = score_neurons(adapter, calibration, image_weight=image_weight)

    def block(index: int) -> tuple[Tensor, Tensor, Tensor]:
        order = scores[index].argsort(descending=True, stable=True)
        weight = adapter.blocks[index].down.weight.cpu()[:, order].float()
        gram = reorder(grams.gram(index, image_weight), order)
        return gram, weight, grams.held_out(index, image_weight)[:, order]

    last, some = len(scores) - 1, min(_CHOOSING_BLOCKS, len(scores))
    chosen = sorted({round(place * last / max(1, some - 1)) for place in range(some)})
    return choose_factor([lambda index=index: block(index) for index in chosen])  # type: ignore[misc]


@torch.no_grad()
def _nested(down: Tensor, gram: Tensor, order: Ints, factor: float, path: Path | None) -> Nested:
    """A block's factorisation: in memory, or mapped from a file, which is written where it is not there already."""
    index, ridge = torch.from_numpy(order.copy()), ridge_strength(gram, factor)
    down = down.cpu()[:, index].float()
    key = _key(down, gram, order, ridge)
    if path is not None and (found := _read(path, key)) is not None:
        return found
    nested = nest(reorder(gram, index), down, ridge)
    if path is None:
        return nested
    del gram
    columns = nested.factor.mT.contiguous()  # as it lies in memory: no copy
    with atomic_path(path) as temporary:
        save_file(
            {"columns": columns, "product": nested.product.contiguous()},
            temporary,
            {"key": key, "ridge": repr(nested.ridge)},
        )
    written = _read(path, key)
    assert written is not None
    return written


def _key(down: Tensor, gram: Tensor, order: Ints, ridge: float) -> str:
    """Says which factorisation a file holds: of this projection, these tokens, in this order."""
    digest = hashlib.sha256(order.tobytes())
    for part in (gram.diagonal(), gram[0], down[0], down.sum(1)):
        digest.update(part.contiguous().numpy().tobytes())
    digest.update(repr(ridge).encode())
    return digest.hexdigest()


def _read(path: Path, key: str) -> Nested | None:
    """The factorisation in a file, mapped; None if there is none, another, or a damaged one."""
    try:
        check_whole(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("key") != key:
                return None
            columns, product = file.get_tensor("columns"), file.get_tensor("product")
        width = product.shape[-1]
        if product.dim() != 2 or columns.shape != (width, width) or columns.dtype != product.dtype:
            return None
        return Nested(factor=columns.mT, product=product, ridge=float(metadata["ridge"]))
    except (SafetensorError, OSError, KeyError, IndexError, ValueError, RuntimeError, RunError):
        return None
