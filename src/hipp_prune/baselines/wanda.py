"""Wanda (Sun et al. 2024), structured: S_ij = |W_ij| · ‖x_j‖ summed to rows or to whole neurons, block by block.

As in the original, each block is scored on what it sees after the blocks before it have been pruned.
"""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from hipp_prune.baselines.setting import Setting, by_score, make_plan, uniform_counts
from hipp_prune.calibration.measurement import observe
from hipp_prune.plans.arrays import Ints
from hipp_prune.plans.plan import Plan, keep_masks
from hipp_prune.plans.space import UnitKind
from hipp_prune.pruning.criteria import Neurons
from hipp_prune.pruning.importance import block_neurons
from hipp_prune.pruning.masking import apply_masks

BlockScore = Callable[[Neurons], Sequence[Tensor]]
"""Scores behind each mask of a block."""


def block_by_block(setting: Setting, unit: UnitKind, score: BlockScore, *, importance: str) -> Plan:
    """A uniform plan by the scores of each block, in turn.

    Args:
        setting: what every baseline is given.
        unit: what a ratio removes.
        score: what ranks the neurons (``rows``: the rows of gate, up and down) of one block.
        importance: its name, for the plan.
    """
    space = setting.space(unit)
    kept = uniform_counts(space, setting.mlp_sparsity)
    of_block = kept.reshape(space.shape.num_blocks, -1)
    per_block = 1 if unit == "coupled" else 3
    masks = [np.ones(width, dtype=np.bool_) for width in _mask_widths(space.shape.neurons, setting, unit)]
    rankings: list[Ints] = []
    for index, block in enumerate(setting.adapter.blocks):
        with apply_masks(setting.adapter, masks):
            seen = observe(setting.adapter, setting.questions, batch_size=setting.settings.batch_size)
        neurons = block_neurons(
            block,
            seen.inputs[index],
            seen.neurons[index],
            taylor=setting.calibration.taylor[index],
            image_weight=None,
        )
        orders = by_score(score(neurons))
        own = slice(per_block * index, per_block * (index + 1))
        masks[own] = keep_masks(unit, orders, of_block[index].tolist())
        rankings += orders
    return make_plan(space, kept, rankings, importance=importance)


def _mask_widths(neurons: tuple[int, ...], setting: Setting, unit: UnitKind) -> list[int]:
    if unit == "coupled":
        return list(neurons)
    return [width for count in neurons for width in (count, count, setting.adapter.shape.hidden_size)]
