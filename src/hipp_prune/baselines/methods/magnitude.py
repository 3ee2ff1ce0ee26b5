"""The same ratio in every block, neurons by the norm of all their weights; nothing is measured."""

from hipp_prune.baselines.setting import Setting, uniform_plan
from hipp_prune.plans.plan import Plan


def plan(setting: Setting) -> Plan:
    """A uniform plan by ``magnitude``."""
    return uniform_plan(setting, "magnitude")
