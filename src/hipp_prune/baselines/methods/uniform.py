"""The same ratio in every block, neurons by the common criterion."""

from hipp_prune.baselines.setting import Setting, uniform_plan
from hipp_prune.plans.plan import Plan


def plan(setting: Setting) -> Plan:
    """A uniform plan by ``importance``."""
    return uniform_plan(setting, setting.settings.importance)
