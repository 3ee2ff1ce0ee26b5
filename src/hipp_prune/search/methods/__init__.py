"""The searchers by name; each pays for evaluations through a ``Session`` and leaves what answers queries."""

from collections.abc import Callable

from hipp_prune.plans.choices import Method
from hipp_prune.search.methods.evopress import search_evopress
from hipp_prune.search.methods.knapsack import search_knapsack
from hipp_prune.search.methods.nsga2 import search_nsga2
from hipp_prune.search.methods.policy import search_policy
from hipp_prune.search.methods.random import search_random
from hipp_prune.search.methods.separate import search_separately
from hipp_prune.search.methods.surrogate import search_surrogate
from hipp_prune.search.session import Session
from hipp_prune.search.solutions import Solution

SEARCHERS: dict[Method, Callable[[Session], Solution]] = {
    "hybrid": search_policy,
    "grpo": search_policy,
    "grpo-paper": search_policy,
    "grpo-per-preference": search_separately,
    "surrogate": search_surrogate,
    "knapsack": search_knapsack,
    "evopress": search_evopress,
    "nsga2": search_nsga2,
    "random": search_random,
}
"""Which function searches; what else a method changes of the defaults is in ``config.METHODS``."""
