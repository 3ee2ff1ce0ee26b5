"""Wanda-sp's scores on the dense model, standardised within each block, one global threshold."""

from hipp_prune.baselines.setting import Setting, by_score, global_counts, make_plan, standardised
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.importance import score_neurons


def plan(setting: Setting) -> Plan:
    """The lowest neurons of all blocks."""
    space = setting.space()
    scores = score_neurons(setting.adapter, setting.calibration, "wanda-sp", image_weight=None)
    kept = global_counts(space, standardised(scores), setting.mlp_sparsity)
    return make_plan(space, kept, by_score(scores), importance="wanda-sp")
