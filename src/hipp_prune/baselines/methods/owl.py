"""OWL (Yin et al. 2024): blocks with many outlying scores keep more."""

import numpy as np
import torch
from torch import Tensor

from hipp_prune.baselines.setting import Setting, by_score, make_plan, shifted_ratios
from hipp_prune.calibration.activations import Moments
from hipp_prune.models.adapter import Block
from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.importance import score_neurons

THRESHOLD = 5.0
"""M: a weight is an outlier if its score is more than M times the block's mean."""
SPREAD = 0.08
"""λ: keep ratios differ by up to 2 λ."""


def plan(setting: Setting) -> Plan:
    """Ratios from the blocks' shares of outliers; neurons by the common criterion."""
    space = setting.space()
    calibration = setting.calibration
    shares = np.array(
        [
            outlier_share(block, x, a)
            for block, x, a in zip(
                setting.adapter.blocks, calibration.inputs, calibration.neurons, strict=True
            )
        ]
    )
    ratios = shifted_ratios(space, owl_ratios(shares, setting.mlp_sparsity), setting.mlp_sparsity)
    scores = score_neurons(
        setting.adapter, calibration, setting.settings.importance, setting.settings.image_weight
    )
    return make_plan(
        space, space.kept(ratios[None])[0], by_score(scores), importance=setting.settings.importance
    )


@torch.no_grad()
def outlier_share(block: Block, inputs: Moments, neurons: Moments, threshold: float = THRESHOLD) -> float:
    """D = share of the MLP's weights with S_ij = |W_ij| · ‖x_j‖ above ``threshold`` times the block's mean.

    Args:
        block: whose weights count.
        inputs: statistics of what its gate and up projections read.
        neurons: statistics of what its down projection reads.
        threshold: in multiples of the mean score, > 0.
    """
    x, a = inputs.rms(None), neurons.rms(None)
    scores = torch.cat(
        [_wanda(block.gate.weight, x), _wanda(block.up.weight, x), _wanda(block.down.weight, a)]
    )
    return float((scores > threshold * scores.mean()).double().mean())


def _wanda(weight: Tensor, norms: Tensor) -> Tensor:
    return (weight.double().abs() * norms.to(weight.device)).flatten()


def owl_ratios(shares: Floats, sparsity: float, spread: float = SPREAD) -> Floats:
    """r = s − (D' − mean D'), D' the shares stretched to [0, 2 λ], [L]; all s where the shares are equal."""
    span = shares.max() - shares.min()
    stretched = np.zeros_like(shares) if span == 0 else 2 * spread * (shares - shares.min()) / span
    result: Floats = sparsity - (stretched - stretched.mean())
    return result
