"""What all cells of a comparison share; free of torch, so that the command line can read it."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from hipp_prune.baselines.methods import load_baseline
from hipp_prune.baselines.settings import BaselineSettings, Match
from hipp_prune.errors import InputError
from hipp_prune.experiments.compare.cells import DENSE, SEARCHES, Contender
from hipp_prune.experiments.settings import HeldOut
from hipp_prune.files.ranges import Count, NotNegative, Positive, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.plans.modes import Compensation, CompensationChoice, SearchCompensationChoice
from hipp_prune.plans.space import ModelShape
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings

RECOVERY = RecoverySettings(steps=120, rate=1e-3, lora_rate=3e-3)
"""Seconds instead of minutes, at the learning rates for it (``docs/compare.md``)."""

SettingsT = TypeVar("SettingsT", SearchSettings, BaselineSettings)


BEYOND_NEURONS = ("slicegpt",)
"""Methods that save more, or something else, than MLP neurons."""


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Who judges, what is paid for, and how all are recovered."""

    questions: tuple[str, ...] = ("toyworld",)
    """Question specifications, as for calibrate."""
    split: HeldOut = "test"
    """Whose questions judge: test once, at the end; validation while something is improved."""
    limit: Count = 1000
    """At most so many of them a benchmark, ≥ 1."""
    calibration: Count = 128
    """Calibration questions a seed, ≥ 1; every method gets the same."""
    gram_disk: Positive = 10.0
    """GB that the Gram matrices of a model and seed may take on the disk, where ridge compensation is asked for."""
    reconstruct: NotNegative = 0.0
    """With sequential compensation: minutes a checkpoint, ≥ 0, that gate, up and down of all blocks are fitted by
    gradient afterwards."""
    match: Match = "mlp"
    """What a budget is a share of: MLP neurons, or parameters of the language blocks."""
    evaluations: Count = 500
    """Evaluations of a plan that a search may pay for, ≥ 1."""
    s_min: Share = SearchSettings().s_min
    """Smallest sparsity searched, in [0, s_max]."""
    s_max: Share = SearchSettings().s_max
    """Largest sparsity searched, in [s_min, r_max].
    At least the largest budget, or searches answer beyond what they have learnt."""
    r_max: Share = SearchSettings().r_max
    """Largest fraction that any method may take from one block, in (0, 1)."""
    recovery: RecoverySettings = RECOVERY
    """Recovery of every checkpoint, the same for all methods."""

    def __post_init__(self) -> None:
        check_settings(self)
        SearchSettings(s_min=self.s_min, s_max=self.s_max, r_max=self.r_max)  # refuses an empty box
        if self.recovery.seed:
            raise InputError(
                f"every recovery of a comparison has its cell's seed, got --seed {self.recovery.seed}; leave it out"
            )

    def search_settings(self, contender: Contender, seed: int) -> SearchSettings:
        """The settings of a contender's search.

        Raises:
            InputError: if it changes what there is not.
        """
        mode = contender.compensation or "auto"
        evaluated: SearchCompensationChoice = "none" if mode == "sequential" else mode
        base = SearchSettings(
            s_min=self.s_min,
            s_max=self.s_max,
            r_max=self.r_max,
            compensation=evaluated,
            evaluations=self.evaluations,
            seed=seed,
        )
        return _changed(base.for_method(SEARCHES[contender.method]), contender)

    def baseline_settings(self, contender: Contender, seed: int) -> BaselineSettings:
        """The settings of a contender that does not search.

        Raises:
            InputError: if it changes what there is not.
        """
        mode = contender.compensation or "auto"
        settings = BaselineSettings(
            seed=seed, match=self.match, r_max=self.r_max, compensation=mode, reconstruct=self.minutes(mode)
        )
        if contender.method in BEYOND_NEURONS:
            settings = replace(
                settings, match="block", round_to=1
            )  # as near to the others' budget as it comes
        return _changed(settings, contender)

    def minutes(self, mode: CompensationChoice) -> float:
        """Of reconstruction, of a checkpoint whose neurons answer for each other in this way."""
        return self.reconstruct if mode == "sequential" else 0.0

    def in_modes(self, contender: Contender, choices: Collection[CompensationChoice]) -> list[Contender]:
        """A contender once for each way to compensate that it can be carried out in, in the order of ``choices``.

        auto is a method's own way (flap: bias); of the others ridge, if that is among the choices, so that there are
        Gram matrices, else none. A method that removes no whole neurons takes part once, uncompensated.

        Args:
            contender: without compensation of its own choice.
            choices: what is asked for.
        """
        own = contender.mode
        auto: Compensation = "ridge" if own == "none" and "ridge" in choices else own
        modes = [auto if choice == "auto" else choice for choice in choices]
        if set(modes) == {own} or not self._removes_neurons(contender):
            return [contender]
        return [
            replace(contender, compensation=None if mode == own else mode) for mode in dict.fromkeys(modes)
        ]

    def _removes_neurons(self, contender: Contender) -> bool:
        """Whether whole neurons leave, for which those that stay can answer."""
        if contender.method == DENSE:
            return False
        if contender.searches:
            return self.search_settings(contender, 0).unit == "coupled"
        return load_baseline(contender.method).whole_neurons(self.baseline_settings(contender, 0))

    def share(self, budget: float, match: Match, shape: ModelShape) -> float:
        """A budget as a fraction of another column: as many parameters of a model of this shape."""
        if match == self.match:
            return budget
        return budget * shape.mlp_share if match == "block" else budget / shape.mlp_share

    def told(self, contender: Contender, seed: int) -> dict[str, Any]:
        """Everything that a contender is told."""
        if contender.method == DENSE:
            return {}
        if contender.searches:
            return asdict(self.search_settings(contender, seed))
        return asdict(self.baseline_settings(contender, seed))

    def recovery_settings(self, seed: int) -> RecoverySettings:
        """How a cell of this seed is recovered."""
        return replace(self.recovery, seed=seed)


DEFAULT_SETTINGS = CompareSettings()
"""What ``hipp-prune compare`` takes if nothing else is said."""


def _changed(settings: SettingsT, contender: Contender) -> SettingsT:
    unknown = sorted(contender.overrides.keys() - {field.name for field in fields(settings)})
    if unknown:
        raise InputError(f"{contender.label}: {contender.method} has no settings {', '.join(unknown)}")
    return replace(settings, **contender.overrides)
