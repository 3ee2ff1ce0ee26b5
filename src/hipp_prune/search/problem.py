"""What a search asks of the world: a space of plans, descriptors of its units, and the price of a plan."""

from typing import Protocol

from hipp_prune.objectives.returns import PlanScores
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import PlanSpace


class Problem(Protocol):
    """A pruning problem; a real model's or a synthetic landscape's."""

    @property
    def space(self) -> PlanSpace:
        """The units that a plan removes from, and the box of its ratios."""

    @property
    def state(self) -> Floats:
        """Standardised descriptors of the units, [U, F]."""

    def log_ratio(self, kept: Ints) -> Floats:
        """ℓ of Eq. 13 for kept counts [P, U], without a forward pass, [P]."""

    def evaluate(self, kept: Ints, minibatch: str, size: int) -> PlanScores:
        """What kept counts [U] score on ``size`` questions; the minibatch's name decides which ones."""
