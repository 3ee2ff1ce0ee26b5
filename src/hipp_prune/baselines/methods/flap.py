"""FLAP (An et al. 2024): neurons whose activation hardly varies leave, and their mean stays as a bias."""

import numpy as np
import torch
from torch import Tensor

from hipp_prune.baselines.setting import Setting, by_score, global_counts, make_plan, standardised
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.importance import score_neurons


def plan(setting: Setting) -> Plan:
    """q(j) = Var(a_j) · ‖W_down[:, j]‖², standardised within each block, one global threshold."""
    space = setting.space()
    scores = score_neurons(setting.adapter, setting.calibration, "flap", image_weight=None)
    kept = global_counts(space, standardised(scores), setting.mlp_sparsity)
    added = space.shape.num_blocks * space.shape.hidden_size
    return make_plan(space, kept, by_score(scores), importance="flap", bias_parameters_added=added)


@torch.no_grad()
def down_biases(setting: Setting, plan: Plan) -> list[Tensor]:
    """The bias of each block's down projection after pruning, float64 [hidden]: b + W_down (E[a] ⊙ removed)."""
    biases = []
    parts = zip(setting.adapter.blocks, setting.calibration.neurons, plan.keep_masks(), strict=True)
    for block, neurons, keep in parts:
        weight = block.down.weight.double().cpu()
        lost = neurons.mean(None) * torch.from_numpy(np.logical_not(keep))
        before = 0.0 if block.down.bias is None else block.down.bias.double().cpu()
        biases.append(before + weight @ lost)
    return biases
