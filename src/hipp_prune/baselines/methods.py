"""The baselines by name."""

from collections.abc import Callable, Sequence

from torch import Tensor

from hipp_prune.baselines import ecoflap, flap, llm_pruner, owl, random, uniform, wanda
from hipp_prune.baselines.setting import Setting
from hipp_prune.choices import Baseline
from hipp_prune.plan import Plan

BASELINES: dict[Baseline, Callable[[Setting], Plan]] = {
    "uniform": uniform.uniform,
    "magnitude": uniform.magnitude,
    "random": random.random_allocation,
    "random-neurons": random.random_neurons,
    "wanda-rows": wanda.rows,
    "wanda-coupled": wanda.coupled,
    "wanda-global": wanda.globally,
    "llm-pruner": llm_pruner.llm_pruner,
    "flap": flap.flap,
    "owl": owl.owl,
    "ecoflap": ecoflap.ecoflap,
}
"""How each method chooses what to remove."""

COMPENSATIONS: dict[Baseline, Callable[[Setting, Plan], Sequence[Tensor]]] = {"flap": flap.down_biases}
"""For methods that change more than what they remove: the biases of the down projections."""
