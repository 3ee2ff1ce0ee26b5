"""Wanda (Sun et al. 2024), structured: S_ij = |W_ij| · ‖x_j‖ summed to rows or to whole neurons.

Like the original, ``rows`` and ``coupled`` go block by block, and each block is scored on what it sees after the
blocks before it have been pruned.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from hipp_prune.baselines.setting import (
    Setting,
    global_counts,
    image_share,
    make_plan,
    rank,
    standardised,
    uniform_counts,
)
from hipp_prune.calibration import Moments, observe
from hipp_prune.models.adapter import Block
from hipp_prune.plans.arrays import Ints
from hipp_prune.plans.choices import UnitKind
from hipp_prune.plans.plan import Plan, keep_masks
from hipp_prune.pruning.importance import row_norm, wanda_sp
from hipp_prune.pruning.masking import apply_masks

Score = Callable[[Block, Moments, Moments], list[Tensor]]
"""Scores behind each mask of a block, from the moments of its x and a."""


def rows(setting: Setting) -> Plan:
    """(A) The lowest rows of each projection by Σ_j S_ij, a uniform ratio; nothing gets smaller (Eq. 9)."""
    return _block_by_block(setting, "rows", _row_scores, importance="paper")


def coupled(setting: Setting) -> Plan:
    """(B) Wanda-sp: the lowest neurons by mean_i |W_down[i, j]| · ‖a_j‖, a uniform ratio."""
    return _block_by_block(setting, "coupled", _neuron_scores, importance="wanda-sp")


def globally(setting: Setting) -> Plan:
    """(C) The scores of (B) on the dense model, standardised within each block, one global threshold."""
    space = setting.space()
    calibration = setting.calibration
    scores = [
        _neuron_scores(block, x, a)[0]
        for block, x, a in zip(setting.adapter.blocks, calibration.inputs, calibration.neurons, strict=True)
    ]
    kept = global_counts(space, standardised(scores), setting.mlp_sparsity)
    return make_plan(space, kept, rank(scores), importance="wanda-sp")


def _block_by_block(setting: Setting, unit: UnitKind, score: Score, *, importance: str) -> Plan:
    space = setting.space(unit)
    kept = uniform_counts(space, setting.mlp_sparsity)
    of_block = kept.reshape(space.shape.num_blocks, -1)
    per_block = 1 if unit == "coupled" else 3
    masks = [np.ones(width, dtype=np.bool_) for width in _mask_widths(space.shape.neurons, setting, unit)]
    rankings: list[Ints] = []
    for index, block in enumerate(setting.adapter.blocks):
        with apply_masks(setting.adapter, masks):
            seen = observe(setting.adapter, setting.questions, batch_size=setting.config.batch_size)
        orders = rank(score(block, seen.inputs[index], seen.neurons[index]))
        own = slice(per_block * index, per_block * (index + 1))
        masks[own] = keep_masks(unit, orders, of_block[index].tolist())
        rankings += orders
    return make_plan(space, kept, rankings, importance=importance)


def _mask_widths(neurons: tuple[int, ...], setting: Setting, unit: UnitKind) -> list[int]:
    if unit == "coupled":
        return list(neurons)
    return [width for count in neurons for width in (count, count, setting.adapter.shape.hidden_size)]


def _row_scores(block: Block, inputs: Moments, neurons: Moments) -> list[Tensor]:
    x, a = inputs.rms(image_share(inputs)), neurons.rms(image_share(neurons))
    return [
        row_norm(block.gate.weight, x), row_norm(block.up.weight, x), row_norm(block.down.weight, a)
    ]  # fmt: skip


def _neuron_scores(block: Block, inputs: Moments, neurons: Moments) -> list[Tensor]:  # noqa: ARG001
    return [wanda_sp(block.down.weight, neurons.rms(image_share(neurons)))]
