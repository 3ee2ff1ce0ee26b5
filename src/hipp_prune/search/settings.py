"""What a search may be told: one frozen table of defaults, and the named methods as changes to it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from hipp_prune.calibration.reductions import HeadReduction
from hipp_prune.errors import BudgetError, InputError
from hipp_prune.files.ranges import Count, NotNegative, Positive, Seed, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.objectives.band import BandKind
from hipp_prune.objectives.returns import ReturnKind
from hipp_prune.plans.allocation import Allocation
from hipp_prune.plans.costs import Compression
from hipp_prune.plans.modes import SearchCompensation, SearchCompensationChoice
from hipp_prune.plans.space import UnitKind
from hipp_prune.pruning.criteria import Criterion
from hipp_prune.search.methods import Method, import_method
from hipp_prune.search.policy.variants import Action, AdvantageKind, GateKind, VisualState

DEFAULT_EVALUATIONS = 400
"""Evaluations of a search that is told neither a number nor a time."""

FlowKind = Literal["block", "chain"]
"""Eq. 13. ``block``: logs of each block's flow, summed (a look-up a plan); ``chain``: the flow through all
weights, literally."""

FROM_SCRATCH: dict[str, Any] = {"warm_up": 0.0, "proposals": 0.0, "learning_rate": 1e-3}
"""Settings of policies that start from nothing: the default learning rate, a tenth of theirs, is for refining a
clone."""


@dataclass(frozen=True, kw_only=True)
class SearchChoices:
    """What everyone decides who searches: by which method, at what price, for which savings."""

    method: Method = "hybrid"
    """Which searcher; a method is nothing but a set of research settings (see ``for_method``)."""
    evaluations: Count | None = None
    """Evaluations of a plan on a whole minibatch, > 0; 400, or without limit where minutes are given."""
    minutes: Positive | None = None
    """Minutes that evaluations may take in all, > 0; whichever limit comes first ends the search."""
    seed: Seed = 0
    """Seed of every random choice, ≥ 0."""
    compression: Compression = "parameters"
    """What a sparsity is a fraction of: prunable MLP parameters, or FLOPs or measured seconds of a forward pass."""
    s_min: Share = 0.1
    """Smallest sparsity searched, in [0, s_max]."""
    s_max: Share = 0.5
    """Largest sparsity searched, in [s_min, r_max]."""
    r_max: Share = 0.8
    """Largest fraction one unit may lose, in (0, 1)."""
    compensation: SearchCompensationChoice = "auto"
    """How neurons that stay answer for those that leave; auto: ridge where the run has Gram matrices, else none."""


@dataclass(frozen=True, kw_only=True)
class SearchResearch:
    """What experiments vary; ``docs/method.md`` says for each setting where its value comes from."""

    unit: UnitKind = "coupled"
    """What a ratio removes: whole neurons, or the paper's rows."""
    kappa: Positive = 1.0
    """Concentration κ of the allocation, > 0."""
    action: Action = "hierarchical"
    """Whether a plan is a budget and its allocation (Eq. 7), or ratios that are projected to the budget."""
    allocation: Allocation = "waterfill"
    """Eq. 8's rule."""
    importance: Criterion = "coupled"
    """Criterion that ranks neurons (Eq. 10 and others); ``rows`` always uses the paper's Eq. 10."""
    image_weight: Share | None = 0.5
    """Share of image tokens in activation statistics, in [0, 1]; none to count every token alike (the paper's)."""
    visual: VisualState = "on"
    """Whether the policy sees every block's visual sensitivity, none, or those of other blocks."""
    heads: HeadReduction = "mean"
    """How the visual sensitivity aggregates attention heads (Eq. 5)."""
    minibatch: Count = 64
    """Questions an evaluation, ≥ 1."""
    probe: Count | None = 32
    """Questions that a plan is asked while the search learns, > 0; none for a whole ``minibatch``."""
    robust_share: Share = 0.5
    """Fraction of them that serve robustness, in [0, 1]."""
    per_image: Count = 6
    """Questions a role asks about one picture before it turns to the next, ≥ 1; they share a sequence."""
    returns: ReturnKind = "log-sigmoid"
    """What a margin counts for (Eq. 11)."""
    tau: Positive = 2.0
    """Temperature of the ``tanh`` return, in nats, > 0."""
    clip_returns: Positive = 5.0
    """c of Eq. 12, in standard deviations, > 0."""
    warm_up: Share = 0.3
    """Fraction of the evaluations spent on random plans, in [0, 1]; 0 starts GRPO at once."""
    proposals: Share = 0.5
    """Fraction spent on the surrogate's proposals, in [0, 1]; 0 trains without a surrogate."""
    rounds: Count = 8
    """How often the surrogate is refitted while it proposes, ≥ 1."""
    group: Count = 8
    """G, plans a group: even, ≥ 4."""
    groups: Count = 4
    """Groups (preferences) a step, ≥ 1."""
    relabel: bool = True
    """False lets a step's plans teach the preferences alone that they were drawn for; by default they teach all of that
    step."""
    learning_rate: Positive = 1e-4
    """Of the policy (Adam), > 0."""
    inner_epochs: Count = 3
    """Updates a step, ≥ 1."""
    clip: Positive | None = 0.05
    """ε > 0 of Eq. 18 on the dimension-averaged ratio; none for the paper's A·log π."""
    advantage: AdvantageKind = "leave-pair-out"
    """Baseline of Eq. 17; ``leave-pair-out`` draws antithetic pairs."""
    gate: GateKind = "positive"
    """Which advantages the stability gate scales."""
    band: BandKind = "conditional"
    """Whether the stability band depends on the sparsity."""
    flow: FlowKind = "block"
    """Whether ℓ sums blocks (a look-up a plan) or chains all weights (Eq. 13 literally)."""
    gamma: Positive = 1.0
    """Slope γ > 0 of the band loss."""
    gate_floor: Share = 0.02
    """Plans with a smaller gate are not evaluated: they get their group's minimum; in [0, 1)."""
    annealing: Share = 0.5
    """Fraction of the steps, in [0, 1], over which the band narrows from three times its width."""
    budget_entropy: NotNegative = 0.003
    """Weight c_u ≥ 0 of the entropy of the budget's logit."""
    allocation_entropy: NotNegative = 0.003
    """Weight c_a ≥ 0 of the entropy of the allocation."""
    kl_weight: NotNegative = 0.0
    """Weight β_KL ≥ 0 of the KL to the policy that drew the plans."""
    anchor_fraction: Share = 0.5
    """Share of anchors among training preferences, in [0, 1]."""
    intervals: bool = True
    """False always trains on the whole budget range (the paper's); by default on parts and points of it too."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings(SearchResearch, SearchChoices):
    """All that a search is told, both groups of flags together; what does not fit together is refused."""

    def __post_init__(self) -> None:
        check_settings(self)
        if not 0 <= self.s_min <= self.s_max <= self.r_max < 1:
            raise BudgetError(
                f"a search needs 0 ≤ s_min ≤ s_max ≤ r_max < 1, got s_min = {self.s_min:g}, s_max = "
                f"{self.s_max:g}, r_max = {self.r_max:g}"
            )
        if self.unit == "rows" and self.compression != "parameters":
            raise InputError(
                f"masked rows save no {self.compression}, since they cannot be sliced out; search with unit coupled "
                "or compression parameters"
            )
        if self.unit == "rows" and self.compensation in ("bias", "ridge"):
            raise InputError(
                f"masked rows have no {self.compensation} compensation; search with unit coupled or compensation none"
            )
        if self.group < 4 or self.group % 2:
            raise InputError(f"a group needs an even number of at least 4 plans, got group = {self.group}")
        if self.warm_up + self.proposals > 1:
            raise InputError(
                f"warm_up + proposals must leave room for GRPO or reach 1, got {self.warm_up + self.proposals:g}"
            )
        if self.proposals and not self.warm_up:
            raise InputError("proposals need a warm_up that the surrogate is fitted to, got warm_up = 0")

    @property
    def probe_size(self) -> int:
        """Questions that a plan is asked while the search learns: at most a minibatch."""
        return min(self.probe or self.minibatch, self.minibatch)

    def mode(self, *, has_grams: bool) -> SearchCompensation:
        """The compensation that these settings mean where Gram matrices are at hand, or are not."""
        if self.compensation == "auto":
            return "ridge" if has_grams and self.unit == "coupled" else "none"
        return self.compensation

    @property
    def most_evaluations(self) -> int:
        """The limit on evaluations, whatever the clock says."""
        if self.evaluations is not None:
            return self.evaluations
        return DEFAULT_EVALUATIONS if self.minutes is None else 10**9

    def for_method(self, method: Method) -> "SearchSettings":
        """These settings with what defines ``method`` put in place.

        Raises:
            InputError: if there is no such method.
        """
        return replace(self, method=method, **import_method(method).SETTINGS)
