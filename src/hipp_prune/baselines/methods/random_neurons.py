"""The same ratio in every block, neurons drawn by chance: what a ranking is worth that knows nothing."""

import numpy as np

from hipp_prune.baselines.setting import Setting, make_plan, uniform_counts
from hipp_prune.plans.plan import Plan


def plan(setting: Setting) -> Plan:
    """A uniform plan by chance."""
    space = setting.space()
    rng = np.random.default_rng(setting.settings.seed)
    rankings = [rng.permutation(width) for width in space.widths]
    kept = uniform_counts(space, setting.mlp_sparsity)
    return make_plan(space, kept, rankings, importance="random", seed=setting.settings.seed)
