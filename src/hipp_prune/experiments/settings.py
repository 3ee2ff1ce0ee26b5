"""What all experiments are told; free of torch, so that the command line lists it."""

from dataclasses import dataclass
from typing import Literal

from hipp_prune.files.packages import require_packages
from hipp_prune.files.ranges import Count, Positive
from hipp_prune.files.strict import check_settings
from hipp_prune.search.methods import METHODS

HeldOut = Literal["validation", "test"]
"""The splits that may judge: test once, at the end; validation while something is improved."""


@dataclass(frozen=True, kw_only=True)
class CrewSettings:
    """Who does the work, and for how long."""

    workers: Count = 2
    """Processes, ≥ 1, of one thread each."""
    minutes: Positive | None = None
    """Stop after so many minutes, > 0; without it, when everything is done."""

    def __post_init__(self) -> None:
        check_settings(self)


def require_extra(verb: str, *methods: str) -> None:
    """Makes sure that the packages of the extra ``experiments`` are there, before any work is done.

    Args:
        verb: the experiment.
        methods: who takes part; some need a package of their own.

    Raises:
        InputError: naming what is missing and the command that installs it.
    """
    from hipp_prune.search.searchers import load_method

    own = {package for method in methods if method in METHODS for package in load_method(method).needs}
    packages = ["moocore", "pyarrow", *sorted(own)]
    require_packages(f"hipp-prune {verb}", packages, extra="experiments")
