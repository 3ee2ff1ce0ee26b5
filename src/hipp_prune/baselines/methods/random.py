"""Random allocation, the paper's *Random*: what a plan is worth that knows nothing."""

import numpy as np

from hipp_prune.baselines.setting import Setting, by_score, make_plan
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.importance import score_neurons, score_rows


def plan(setting: Setting) -> Plan:
    """Ratios from a flat Dirichlet, projected to budget and box (Eq. 8); neurons (or rows) by the common criterion."""
    settings = setting.settings
    space = setting.space(settings.unit)
    drawn = np.random.default_rng(settings.seed).dirichlet(np.ones(space.num_units))
    log_allocation = np.log(np.maximum(drawn, np.finfo(np.float64).tiny))
    ratios = space.ratios(log_allocation[None], np.array([setting.mlp_sparsity]))
    if settings.unit == "rows":
        blocks = score_rows(setting.adapter, setting.calibration, settings.image_weight)
        scores, importance = [rows for block in blocks for rows in block], "paper"
    else:
        scores = score_neurons(
            setting.adapter, setting.calibration, settings.importance, settings.image_weight
        )
        importance = settings.importance
    return make_plan(
        space, space.kept(ratios)[0], by_score(scores), importance=importance, seed=settings.seed
    )


def whole_neurons(settings: BaselineSettings) -> bool:
    """Unless it allocates rows."""
    return settings.unit == "coupled"
