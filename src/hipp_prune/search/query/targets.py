"""Targets besides sparsity: the largest model that fits into so many bytes, or is so many times as fast.

A target bounds from above a cost that never falls when a neuron comes back, so that for one preference there is a
smallest sparsity that meets it. It is found by bisection over what the search answers; then every block in turn gets
back what still fits. So a plan meets its targets to one neuron: one more in any block, or one step of the alignment,
would not.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hipp_prune.errors import BudgetError
from hipp_prune.files.sizes import least_size
from hipp_prune.plans.arrays import Bool, Bools, Float, Floats, Int, Ints
from hipp_prune.plans.costs import CostTable
from hipp_prune.plans.footprint import Footprint
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.query.planner import Planner

_BISECTIONS = 30
"""Halvings of the sparsities that may be answered; a neuron of a model of 10⁹ of them is found."""


class Target(Protocol):
    """An upper bound on what a model takes."""

    @property
    def flag(self) -> str:
        """How it was asked for."""

    def meets(self, kept: Int[Ints, "plans units"]) -> Bool[Bools, "plans"]:
        """Which plans that keep [P, U] neurons are within it, [P]."""

    def offer(self, kept: Int[Ints, "units"]) -> str:
        """The strictest target of this kind that a plan meets, as a flag."""

    def notes(self, kept: Int[Ints, "units"]) -> dict[str, object]:
        """What a plan's file says of it."""


@dataclass(frozen=True, kw_only=True)
class SizeTarget:
    """Weights, and where it is asked for the KV cache, in at most so many bytes."""

    footprint: Footprint
    size: str
    """The limit as it was asked for, e.g. ``8GB``."""
    limit: int
    """The same in bytes."""
    context: int = 0
    """Tokens in the KV cache of each sequence; 0 for none."""
    batch: int = 1
    """Sequences that are served at once."""
    added: int = 0
    """Bytes that compensation adds."""

    @property
    def flag(self) -> str:
        """See ``Target``."""
        return f"--fit {self.size}" + (
            f" --context {self.context} --batch {self.batch}" if self.context else ""
        )

    def bytes(self, kept: Int[Ints, "*plans units"]) -> Int[Ints, "*plans"]:
        """What plans that keep [..., U] neurons take, [...]."""
        cache = self.footprint.cache(context=self.context, batch=self.batch) if self.context else 0
        return self.footprint.pruned(kept) + cache + self.added

    def meets(self, kept: Int[Ints, "plans units"]) -> Bool[Bools, "plans"]:
        """See ``Target``."""
        result: Bools = self.bytes(kept) <= self.limit
        return result

    def offer(self, kept: Int[Ints, "units"]) -> str:
        """See ``Target``."""
        return f"--fit {least_size(int(self.bytes(kept)))}"

    def notes(self, kept: Int[Ints, "units"]) -> dict[str, object]:
        """See ``Target``."""
        asked: dict[str, object] = {"fit": self.size, "bytes": int(self.bytes(kept))}
        return asked | ({"context": self.context, "batch": self.batch} if self.context else {})


@dataclass(frozen=True, kw_only=True)
class SpeedTarget:
    """A forward pass of the language model that is so many times as fast as the dense one's."""

    table: CostTable
    """Measured seconds."""
    widths: Ints
    """Neurons of the dense model's units, [U]."""
    factor: float
    """Times as fast, > 1."""

    @property
    def flag(self) -> str:
        """See ``Target``."""
        return f"--speed {self.factor:.12g}"

    def reached(self, kept: Int[Ints, "*plans units"]) -> Float[Floats, "*plans"]:
        """How many times as fast plans are that keep [..., U] neurons, [...]."""
        result: Floats = 1.0 / (1.0 - self.table.saved(1.0 - kept / self.widths))
        return result

    def meets(self, kept: Int[Ints, "plans units"]) -> Bool[Bools, "plans"]:
        """See ``Target``."""
        result: Bools = self.reached(kept) >= self.factor
        return result

    def offer(self, kept: Int[Ints, "units"]) -> str:
        """See ``Target``."""
        return f"--speed {shown_speed(float(self.reached(kept)))}"

    def notes(self, kept: Int[Ints, "units"]) -> dict[str, object]:
        """See ``Target``."""
        return {"speed": self.factor, "reached": float(self.reached(kept))}


def shown_speed(times: float) -> str:
    """How many times as fast, in thousandths and rounded down: what is shown is reached, and below what is refused."""
    return f"{np.floor(1000 * times) / 1000:.12g}"


def target_notes(targets: Sequence[Target], kept: Int[Ints, "units"]) -> dict[str, object]:
    """What a plan's file says of all its targets."""
    return {name: note for target in targets for name, note in target.notes(kept).items()}


def meet_all(targets: Sequence[Target], kept: Int[Ints, "plans units"]) -> Bool[Bools, "plans"]:
    """Which plans that keep [P, U] neurons are within every target, [P]."""
    result: Bools = np.logical_and.reduce([target.meets(kept) for target in targets])
    return result


def check_targets(
    targets: Sequence[Target], *, narrowest: Int[Ints, "units"], widest: Int[Ints, "units"], r_max: float
) -> None:
    """Refuses targets that no plan meets, and such as the whole model meets.

    Args:
        targets: at least one.
        narrowest: kept counts of the smallest plan, [U].
        widest: kept counts of the largest, [U].
        r_max: the largest share that a block may lose.

    Raises:
        BudgetError: saying what is attainable.
    """
    for target in targets:
        if not target.meets(narrowest[None])[0]:
            raise BudgetError(
                f"{target.flag} is out of reach: even the smallest plan, whose blocks all lose what --r-max {r_max:g} "
                f"allows, attains {target.offer(narrowest)}; ask for that or an easier target, or search with "
                "a larger --r-max"
            )
    if meet_all(targets, widest[None])[0]:
        flags = " ".join(target.flag for target in targets)
        raise BudgetError(
            f"{flags} needs no pruning: with every neuron it may keep, the model attains {targets[0].offer(widest)}; "
            "ask for fewer bytes or more speed than that"
        )


def largest_plans(
    planner: Planner, targets: Sequence[Target], preferences: Float[Floats, "plans 3"], *, align: int = 1
) -> Int[Ints, "plans units"]:
    """Kept counts [P, U] of the largest plan for each preference [P, 3] that meets all targets.

    Args:
        planner: of a finished search.
        targets: at least one.
        preferences: λ of each plan.
        align: kept counts are multiples of this.

    Raises:
        BudgetError: if no plan meets the targets, if every one does, or if the box does not allow the alignment.
    """
    space = planner.space
    narrowest, widest = bounds(space, align)
    check_targets(targets, narrowest=narrowest, widest=widest, r_max=space.r_max)

    def answer(sparsity: Floats) -> Ints:
        budget = np.stack([sparsity, sparsity], axis=1)
        return planner.answers.kept(preferences, budget, align=align)

    low = np.full(len(preferences), float(space.sparsity(widest)))
    high = np.full(len(preferences), space.attainable)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        met = meet_all(targets, answer(middle))
        low, high = np.where(met, low, middle), np.where(met, middle, high)
    return np.stack([_settled(plan, targets, narrowest, widest, align) for plan in answer(high)])


def bounds(space: PlanSpace, align: int) -> tuple[Int[Ints, "units"], Int[Ints, "units"]]:
    """Kept counts [U] of the smallest and of the largest plan of a space.

    Raises:
        BudgetError: if the box does not allow the alignment.
    """
    everywhere = np.full((1, space.num_units), space.r_max)
    return space.kept(everywhere, align=align)[0], space.widths // align * align


def _settled(kept: Ints, targets: Sequence[Target], narrowest: Ints, widest: Ints, align: int) -> Ints:
    """A plan moved to the border of its targets."""
    if not meet_all(targets, kept[None])[0]:
        kept = _narrowed(kept, targets, narrowest, align)
    lost = 1.0 - kept / widest
    for unit in np.argsort(-lost, kind="stable"):
        kept = _widened(kept, int(unit), targets, widest, align)
    return kept


def _narrowed(kept: Ints, targets: Sequence[Target], narrowest: Ints, align: int) -> Ints:
    """A plan that a search answered with too many neurons, all blocks taken back towards the smallest alike.

    The paper's rule of Eq. 8 lets a sparsity drift below what it was told, so that no answer may be small enough.
    """
    steps = 1 << 12

    def taken(step: int) -> Ints:
        result: Ints = narrowest + (kept - narrowest) * (steps - step) // steps // align * align
        return result

    return taken(
        bisect_left(range(steps), True, key=lambda step: bool(meet_all(targets, taken(step)[None])[0]))
    )


def _widened(kept: Ints, unit: int, targets: Sequence[Target], widest: Ints, align: int) -> Ints:
    """A plan whose unit has got back as many neurons as the targets allow."""

    def with_more(steps: int) -> Ints:
        result = kept.copy()
        result[unit] += steps * align
        return result

    room = range(1, (int(widest[unit]) - int(kept[unit])) // align + 1)
    return with_more(
        bisect_left(room, True, key=lambda steps: not meet_all(targets, with_more(steps)[None])[0])
    )
