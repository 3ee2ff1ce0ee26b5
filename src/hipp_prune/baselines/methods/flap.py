"""FLAP (An et al. 2024): neurons whose activation hardly varies leave, and their mean stays as a bias."""

from hipp_prune.baselines.setting import Setting, by_score, global_counts, make_plan, standardised
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.importance import score_neurons

COMPENSATION: Compensation = "bias"
"""What its plans are carried out with, if nothing else is asked for."""


def plan(setting: Setting) -> Plan:
    """q(j) = Var(a_j) · ‖W_down[:, j]‖², standardised within each block, one global threshold."""
    space = setting.space()
    scores = score_neurons(setting.adapter, setting.calibration, "flap", image_weight=None)
    kept = global_counts(space, standardised(scores), setting.mlp_sparsity)
    flap = make_plan(space, kept, by_score(scores), importance="flap")
    return flap.with_compensation(COMPENSATION, image_weight=None)
