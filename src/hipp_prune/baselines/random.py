"""Random allocation (the paper's *Random*) and random neurons: what a plan is worth that knows nothing."""

import numpy as np

from hipp_prune.baselines.setting import Setting, make_plan, rank, uniform_counts
from hipp_prune.plan import Plan
from hipp_prune.pruning.importance import score_neurons


def random_allocation(setting: Setting) -> Plan:
    """Ratios from a flat Dirichlet, projected to budget and box (Eq. 8); neurons by the common criterion."""
    space = setting.space()
    drawn = np.random.default_rng(setting.config.seed).dirichlet(np.ones(space.num_units))
    log_allocation = np.log(np.maximum(drawn, np.finfo(np.float64).tiny))
    ratios = space.ratios(log_allocation[None], np.array([setting.sparsity]))
    scores = score_neurons(
        setting.adapter, setting.calibration, setting.config.importance, setting.config.image_weight
    )
    return make_plan(
        space,
        space.kept(ratios)[0],
        rank(scores),
        importance=setting.config.importance,
        seed=setting.config.seed,
    )


def random_neurons(setting: Setting) -> Plan:
    """The same ratio everywhere, neurons drawn by chance."""
    space = setting.space()
    rng = np.random.default_rng(setting.config.seed)
    rankings = [rng.permutation(width) for width in space.widths]
    kept = uniform_counts(space, setting.sparsity)
    return make_plan(space, kept, rankings, importance="random", seed=setting.config.seed)
