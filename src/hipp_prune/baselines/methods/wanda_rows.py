"""Wanda for rows, the paper's pruning (Eq. 9): the lowest of each projection by Σ_j S_ij; nothing gets smaller."""

from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.baselines.wanda import block_by_block
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.importance import block_rows


def plan(setting: Setting) -> Plan:
    """A uniform ratio of rows, block by block."""
    return block_by_block(setting, "rows", block_rows, importance="paper")


def whole_neurons(settings: BaselineSettings) -> bool:  # noqa: ARG001
    """Never: gate, up and down lose different rows."""
    return False
