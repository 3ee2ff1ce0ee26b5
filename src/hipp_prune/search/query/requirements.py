"""Constraint queries: the best plan predicted to meet ``pope=0.85`` and ``sparsity=0.3``, or what is attainable.

Nothing is evaluated. Candidates are what the search answers preferences with over a grid of preferences and budgets,
the surrogate's optima over the same grid, and every plan in the archive.

With targets (``search.query.targets``), only plans within them are candidates, among them the largest one for every
preference of the grid.

An accuracy is met where the *lower end* of its 90% interval reaches it, since a requirement is a promise; a saving is
known exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hipp_prune.errors import InputError, RequirementError
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import OBJECTIVES, Preference
from hipp_prune.plans.space import PlanSpace
from hipp_prune.questions.benchmark import ROLES
from hipp_prune.questions.benchmarks import BENCHMARKS, serving
from hipp_prune.search.archive import Evaluation, kept_matrix
from hipp_prune.search.query.forecast import Forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.query.roles import measured_part, measured_roles
from hipp_prune.search.query.targets import Target, largest_plans, meet_all, target_notes
from hipp_prune.search.query.uniform import predicted_returns
from hipp_prune.search.surrogate import best_ratios

SAVINGS = ("sparsity", "mlp", "block", "language", "model", "flops", "latency")
"""What is known: ``sparsity`` in the search's own measure, and the ledger's denominators."""

_LATTICE = 4
"""Steps of the preference grid along an edge of the simplex: 15 preferences."""
_BUDGETS = 17
"""Budgets from 0 to s_max."""
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A lower bound on an accuracy or a saving."""

    name: str
    value: float
    """Least accuracy or saving, in [0, 1]."""

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Reads ``pope=0.85``.

        Raises:
            InputError: if the name is unknown, or the value no fraction.
        """
        name, _, number = text.partition("=")
        try:
            value = float(number.removesuffix("%"))
        except ValueError:
            value = math.nan
        names = (*BENCHMARKS, *SAVINGS)
        if name in names and (1 < value <= 100 or (number.endswith("%") and 0 <= value <= 100)):
            raise InputError(
                f"a requirement is NAME=FRACTION with a fraction in [0, 1], got {text!r}; did you mean "
                f"{name}={value / 100:g}?"
            )
        if name not in names or not 0 <= value <= 1:
            raise InputError(
                f"a requirement is NAME=FRACTION with a name of {', '.join(names)} and a fraction in "
                f"[0, 1], e.g. pope=0.85; got {text!r}"
            )
        return cls(name=name, value=value)

    def __str__(self) -> str:
        return f"{self.name}={self.value:g}"


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """Plans and what is known of them; P plans."""

    kept: Ints
    """Neurons that each plan keeps, [P, U]."""
    names: tuple[str, ...]
    """The benchmarks that are forecast, B of them."""
    mean: Floats
    """Forecast accuracy on each, [P, B]."""
    margin: Floats
    """Half of its 90% interval, [P, B]."""
    savings: dict[str, Floats]
    """By name, each [P]."""

    def sure(self, name: str) -> Floats:
        """What plans are held to: the lower end of a forecast, a saving as it is, [P]."""
        if name in self.names:
            column = self.names.index(name)
            return np.maximum(0.0, self.mean[:, column] - self.margin[:, column])
        return self.savings[name]

    def within(self, targets: Sequence[Target]) -> "_Candidates":
        """Those that meet all targets."""
        met = meet_all(targets, self.kept)
        return _Candidates(
            kept=self.kept[met],
            names=self.names,
            mean=self.mean[met],
            margin=self.margin[met],
            savings={name: saved[met] for name, saved in self.savings.items()},
        )

    def meet(self, requirement: Requirement) -> np.ndarray:
        """Which plans meet it, bool [P]."""
        result: np.ndarray = self.sure(requirement.name) >= requirement.value - _ROUNDING
        return result


def meet_requirements(
    planner: Planner,
    forecast: Forecast,
    archive: Sequence[Evaluation],
    requirements: Sequence[Requirement],
    *,
    preference: Preference | None = None,
    targets: Sequence[Target] = (),
    align: int = 1,
) -> Plan:
    """The plan of largest predicted return among those that meet all requirements; its notes say what is predicted.

    Args:
        planner: of a finished search.
        forecast: fitted to its archive.
        archive: its evaluations.
        requirements: at least one.
        preference: weighs the objectives; by default those without a requirement count alike (all three, where
            each has one; with targets, compression is not free).
        targets: what the plan may take at the most.
        align: kept counts are multiples of this.

    Raises:
        InputError: if a requirement cannot be judged in this run, or is given twice.
        RequirementError: if no candidate meets all, saying what is attainable.
        BudgetError: if the box does not allow the alignment, or targets are met by no plan or by every one.
    """
    _check(requirements, {*forecast.names, *_savings(planner.space, planner.space.widths)})
    preference = preference or _default_preference(requirements, archive, targeted=bool(targets))
    found = _candidates(planner, forecast, archive, requirements, preference, targets, align)
    meets = np.logical_and.reduce([found.meet(requirement) for requirement in requirements])
    if not meets.any():
        raise RequirementError(_attainable(found, requirements, targets) + _instead(requirements))
    values = predicted_returns(planner, forecast.whole.surrogate, found.kept) @ preference.vector
    best = int(np.where(meets, values, -np.inf).argmax())
    return planner.plan(
        found.kept[best],
        preference=preference,
        align=align,
        require={requirement.name: requirement.value for requirement in requirements},
        **target_notes(targets, found.kept[best]),
        predicted={
            name: {"mean": float(found.mean[best, column]), "margin": float(found.margin[best, column])}
            for column, name in enumerate(found.names)
        },
    )


def _check(requirements: Sequence[Requirement], judged: set[str]) -> None:
    names = [requirement.name for requirement in requirements]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} is required twice; give each requirement once")
        if name not in judged:
            raise InputError(
                f"{name} cannot be required of this run, which knows only {', '.join(sorted(judged))}; search with "
                f"{'--compression latency' if name == 'latency' else f'questions that measure {name}'}"
            )


def _default_preference(
    requirements: Sequence[Requirement], archive: Sequence[Evaluation], *, targeted: bool
) -> Preference:
    names = {requirement.name for requirement in requirements} | (set(SAVINGS) if targeted else set())
    free = [float(names.isdisjoint(each)) for each in (*map(serving, ROLES), SAVINGS)]
    default = Preference.of(free if any(free) else [1.0] * len(OBJECTIVES))
    return measured_part(default, measured_roles(archive))


def _candidates(
    planner: Planner,
    forecast: Forecast,
    archive: Sequence[Evaluation],
    requirements: Sequence[Requirement],
    preference: Preference,
    targets: Sequence[Target],
    align: int,
) -> _Candidates:
    space, settings = planner.space, planner.settings
    preferences = np.concatenate([preference.vector[None], _lattice()])
    budgets = _budgets(space, settings.s_max, requirements, align)
    asked = np.repeat(preferences, len(budgets), axis=0)
    points = np.tile(budgets, len(preferences))
    interval = np.stack([points, points], axis=1)
    ratios, _ = best_ratios(
        forecast.whole.surrogate,
        space,
        asked,
        interval,
        scale=np.array(planner.scale),
        compression_range=(settings.s_min, settings.s_max),
        grid=1,
    )
    proposed = [planner.answers.kept(asked, interval, align=align), space.kept(ratios, align=align)]
    proposed += [largest_plans(planner, targets, preferences, align=align)] if targets else []
    evaluated = kept_matrix(list(archive))
    evaluated = evaluated[(evaluated % align == 0).all(axis=1)]
    kept = np.unique(np.concatenate([*proposed, evaluated]), axis=0)
    mean, margin = forecast.accuracies(kept, space)
    found = _Candidates(
        kept=kept, names=forecast.names, mean=mean, margin=margin, savings=_savings(space, kept)
    )
    return found.within(targets) if targets else found


def _savings(space: PlanSpace, kept: Ints) -> dict[str, Floats]:
    """What plans [P, U] save, by the names of ``SAVINGS`` that are known, each [P]."""
    return {"sparsity": space.sparsity(kept), **space.savings(kept)}


def _lattice() -> Floats:
    """Preferences evenly spread over the simplex, [15, 3]."""
    steps = range(_LATTICE + 1)
    points = [(i, j, _LATTICE - i - j) for i in steps for j in steps if i + j <= _LATTICE]
    return np.array(points) / _LATTICE


def _budgets(space: PlanSpace, s_max: float, requirements: Sequence[Requirement], align: int) -> Floats:
    """Sparsities to try: a grid from none to ``s_max``, and where uniform pruning just meets a required saving.

    Plans are rounded to the nearest step, so half a step and a step beyond it are tried too.
    """
    uniform = np.rint(np.outer(np.linspace(1.0, 1.0 - space.r_max, 101), space.widths)).astype(np.int64)
    saved = _savings(space, uniform)
    wanted = [
        float(np.interp(requirement.value, saved[requirement.name], saved["sparsity"]))
        for requirement in requirements
        if requirement.name in SAVINGS and requirement.name != "sparsity"
    ]
    wanted += [requirement.value for requirement in requirements if requirement.name == "sparsity"]
    step = float(space.sparsity(space.widths - align * np.eye(space.num_units, dtype=np.int64)).max())
    beyond = [value + part * step for value in wanted for part in (0.0, 0.5, 1.0)]
    least, most = float(space.sparsity(space.widths // align * align)), space.attainable
    return np.unique(np.clip([*np.linspace(0.0, s_max, _BUDGETS), *beyond], least, most))


def _attainable(
    found: _Candidates, requirements: Sequence[Requirement], targets: Sequence[Target] = ()
) -> str:
    """One sentence: what is out of reach, what is predicted there, and what each requirement could be instead."""
    first, *rest = [*map(str, requirements), *(target.flag for target in targets)]
    sentence = first + (f" with {' and '.join(rest)}" if rest else "") + " is out of reach"
    if predictions := _most_accurate(found, requirements):
        sentence += f": predicted at most {' and '.join(predictions)}"
    offers = []
    for requirement in requirements:
        others = [found.meet(other) for other in requirements if other is not requirement]
        meets = np.logical_and.reduce(others, axis=0) if others else np.ones(len(found.kept), dtype=bool)
        if meets.any():
            offers.append(_at_most(requirement, found.sure(requirement.name)[meets]))
    if offers:
        return f"{sentence}; ask for {', or '.join(offers)}"
    alone = ", ".join(_at_most(requirement, found.sure(requirement.name)) for requirement in requirements)
    return f"{sentence}; each alone could be {alone}, so ask for less of several"


def _instead(requirements: Sequence[Requirement]) -> str:
    """What to require rather than whole answers of the dense model, which seldom stay the same word by word."""
    brings = {each.name: BENCHMARKS[each.name].brings for each in requirements if each.name in BENCHMARKS}
    return "".join(
        f"; {name} counts answers that are the dense model's word by word, so require {other}, or calibrate with a "
        "prompt= that wants one word"
        for name, other in brings.items()
        if other is not None
    )


def _most_accurate(found: _Candidates, requirements: Sequence[Requirement]) -> list[str]:
    """The largest forecast of each required accuracy among plans that save what is required."""
    saves = [found.meet(requirement) for requirement in requirements if requirement.name in SAVINGS]
    meets = np.logical_and.reduce(saves, axis=0) if saves else np.ones(len(found.kept), dtype=bool)
    names = [requirement.name for requirement in requirements if requirement.name in found.names]
    texts = []
    for name in names if meets.any() else []:
        best, column = int(np.where(meets, found.sure(name), -np.inf).argmax()), found.names.index(name)
        texts.append(f"{name} {found.mean[best, column]:.3f} ± {found.margin[best, column]:.3f}")
    return texts


def _at_most(requirement: Requirement, values: Floats) -> str:
    """What to ask for instead, rounded down so that it is met."""
    return f"{requirement.name} ≤ {math.floor(1000 * values.max()) / 1000:g}"
