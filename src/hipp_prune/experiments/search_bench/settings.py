"""What searches are compared on; free of torch, so that the command line lists it."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Len

from hipp_prune.experiments.settings import HeldOut
from hipp_prune.files.ranges import Count, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.search.methods import METHODS, Method
from hipp_prune.search.settings import SearchSettings

LANDSCAPE = "landscape"
"""Name of the synthetic problem; every seed is another landscape."""


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What is compared, and who judges."""

    problems: tuple[str, ...] = ("toy-llava", "toy-qwen2.5-vl", LANDSCAPE)
    """Calibrated run directories, models to calibrate on --questions, or landscape, whose optimum is known."""
    methods: tuple[Method, ...] = METHODS
    """Searchers that take part."""
    budgets: Annotated[tuple[Count, ...], Len(1)] = (100, 250, 500, 1000, 2000)
    """Evaluations a search, ≥ 1; above 1,000 only for methods that learn a policy."""
    seeds: Count = 5
    """Searches of each kind, ≥ 1; all have k before any has k + 1."""
    questions: tuple[str, ...] = ("toyworld",)
    """Question specifications of models that have not been calibrated."""
    split: HeldOut = "validation"
    """Whose questions judge the answers."""
    limit: Count = 300
    """At most so many held-out questions a benchmark, ≥ 1."""
    s_min: Share = SearchSettings().s_min
    """Smallest sparsity searched, in [0, s_max]."""
    s_max: Share = SearchSettings().s_max
    """Largest sparsity searched, in [s_min, r_max]."""

    def __post_init__(self) -> None:
        check_settings(self)
        SearchSettings(s_min=self.s_min, s_max=self.s_max)  # refuses an empty box

    @property
    def base(self) -> SearchSettings:
        """What every method starts from."""
        return SearchSettings(s_min=self.s_min, s_max=self.s_max)


FULL = BenchSettings()
"""Hours on two cores."""
QUICK = BenchSettings(budgets=(100, 250), seeds=2, limit=100)
"""Minutes on two cores."""
