"""Wanda-sp: the lowest neurons by mean_i |W_down[i, j]| · ‖a_j‖."""

from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.wanda import block_by_block
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.criteria import wanda_sp


def plan(setting: Setting) -> Plan:
    """A uniform ratio of neurons, block by block."""
    return block_by_block(setting, "coupled", lambda neurons: [wanda_sp(neurons)], importance="wanda-sp")
