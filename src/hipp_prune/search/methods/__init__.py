"""The searchers by name; each pays for evaluations through a ``Session`` and leaves what answers queries."""

from collections.abc import Callable

from hipp_prune.choices import Method
from hipp_prune.search.answers import Answers
from hipp_prune.search.methods.policy import search_policy
from hipp_prune.search.methods.random import search_random
from hipp_prune.search.session import Session

SEARCHERS: dict[Method, Callable[[Session], Answers]] = {
    "hybrid": search_policy,
    "grpo": search_policy,
    "grpo-paper": search_policy,
    "random": search_random,
}
"""Which function searches; what else a method changes of the defaults is in ``config.METHODS``."""
