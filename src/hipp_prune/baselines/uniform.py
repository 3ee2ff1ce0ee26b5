"""The same ratio in every block, with the common criterion or with weights alone."""

from hipp_prune.baselines.setting import Setting, make_plan, rank, uniform_counts
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.criteria import Criterion
from hipp_prune.pruning.importance import score_neurons


def uniform(setting: Setting) -> Plan:
    """Uniform ratio, neurons by the common criterion."""
    return _uniform(setting, setting.config.importance)


def magnitude(setting: Setting) -> Plan:
    """Uniform ratio, neurons by the norm of all their weights."""
    return _uniform(setting, "magnitude")


def _uniform(setting: Setting, criterion: Criterion) -> Plan:
    space = setting.space()
    scores = score_neurons(setting.adapter, setting.calibration, criterion, setting.config.image_weight)
    return make_plan(space, uniform_counts(space, setting.mlp_sparsity), rank(scores), importance=criterion)
