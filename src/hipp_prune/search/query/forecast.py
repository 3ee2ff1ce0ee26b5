"""What a plan would score without asking a question: accuracies on the search split, with 90% intervals.

The surrogate predicts how much of its returns a plan loses. A monotone curve turns that loss d into accuracy,

    accuracy = c_m − b · (1 − exp(−(d/s)^p)),  b ≥ 0:

flat or straight at first, then towards chance. The level c_m is one a minibatch, since some questions are harder; a
plan's forecast has the mean level. Everything is fitted anew without each eighth of the minibatches (the
delete-a-group jackknife), which shows how far a forecast hangs on the plans *and* on the questions behind it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, Len

from hipp_prune.errors import InputError
from hipp_prune.files.ranges import Count
from hipp_prune.files.reading import read_document
from hipp_prune.files.writing import write_json
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.space import PlanSpace
from hipp_prune.questions.benchmarks import BENCHMARKS, column_of
from hipp_prune.search.archive import Archive, Evaluation, kept_matrix
from hipp_prune.search.surrogate import Surrogate, fit_surrogate

_GROUPS = 8
_FEWEST_GROUPS = 4
FEWEST_EVALUATIONS = 24
"""That a forecast is fitted to, of an archive."""
_STUDENT = {3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895}
"""95% quantile of Student's t by degrees of freedom: half of a 90% interval, in standard errors."""
_POWERS = (1.0, 1.5, 2.0)
_SCALES = (0.5, 1.0, 2.0, 4.0, 16.0)
"""Of the curve, in medians of the losses seen."""


Damage = Annotated[float, Ge(0), Le(1e9)]
"""A loss of return, or a coefficient of one."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Accuracy by predicted loss of return."""

    level: Annotated[float, Ge(-1e9), Le(1e9)]
    """Accuracy without loss: the mean of c_m over the questions asked."""
    fall: Damage
    """b ≥ 0: how much accuracy is lost at the most."""
    scale: Annotated[float, Gt(0), Le(1e9)]
    """s > 0, in units of the return."""
    power: Annotated[float, Gt(0), Le(10)]
    """Exponent p > 0 of the loss."""

    def __call__(self, loss: Floats) -> Floats:
        """Accuracy at losses of any shape; never rises with the loss."""
        return self.level - self.fall * _shape(loss, self.scale, self.power)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A surrogate, and the curve of each benchmark's accuracy behind it."""

    surrogate: Surrogate
    curves: dict[str, Curve]
    """Accuracy against loss, by ``Benchmark.name``."""

    def accuracies(self, ratios: Floats) -> Floats:
        """Accuracy on each benchmark of ratios [P, U], [P, B], by the predicted loss of its role."""
        loss = self.surrogate.damage(ratios)
        return np.stack([curve(loss[:, column_of(name)]) for name, curve in self.curves.items()], axis=1)


Table = Annotated[list[list[Damage]], Len(2, 2)]
"""Coefficients of a surrogate, [2, U]."""


@dataclass(frozen=True, kw_only=True)
class _SurrogateFile:
    """A surrogate as JSON has it."""

    linear: Table
    quadratic: Table
    cubic: Table

    def __post_init__(self) -> None:
        if len({len(row) for table in (self.linear, self.quadratic, self.cubic) for row in table}) > 1:
            raise ValueError("the tables of a surrogate must be equally long")

    def restore(self) -> Surrogate:
        """The surrogate whose coefficients these are."""
        return Surrogate(
            linear=np.array(self.linear), quadratic=np.array(self.quadratic), cubic=np.array(self.cubic)
        )


@dataclass(frozen=True, kw_only=True)
class _FitFile:
    """A fit as JSON has it."""

    surrogate: _SurrogateFile
    curves: Annotated[dict[str, Curve], Len(1)]


@dataclass(frozen=True, kw_only=True)
class _ForecastFile:
    """What ``forecast.json`` holds."""

    evaluations: Count
    compensation: Compensation = "none"
    fits: Annotated[list[_FitFile], Len(1 + _FEWEST_GROUPS, 1 + _GROUPS)]
    """The whole one first."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Fits to an archive, whole and without each group of minibatches."""

    evaluations: int
    """How many the archive held when it was fitted."""
    compensation: Compensation
    """Of the plans that they evaluated, and so of those that are forecast."""
    whole: Fit
    without: tuple[Fit, ...]
    """G fits, 4 ≤ G ≤ 8."""

    @property
    def names(self) -> tuple[str, ...]:
        """The benchmarks that are forecast, B of them."""
        return tuple(self.whole.curves)

    def accuracies(self, kept: Ints, space: PlanSpace) -> tuple[Floats, Floats]:
        """Accuracy of plans [P, U] on the search split's questions of each benchmark, in [0, 1].

        Returns:
            Means and margins, each [P, B]: mean ± margin is a 90% interval.
        """
        ratios = 1.0 - kept / space.widths
        spread = np.stack([fit.accuracies(ratios) for fit in self.without])
        groups = len(self.without)
        variance = (groups - 1) / groups * ((spread - spread.mean(axis=0)) ** 2).sum(axis=0)
        margin = student(groups) * np.sqrt(variance)
        return np.clip(self.whole.accuracies(ratios), 0.0, 1.0), margin

    def save(self, path: Path) -> None:
        """Writes the forecast as JSON, atomically."""
        fits = [_as_json(fit) for fit in (self.whole, *self.without)]
        said = {"evaluations": self.evaluations, "compensation": self.compensation, "fits": fits}
        write_json(path, said)

    @classmethod
    def load(
        cls, path: Path, *, evaluations: int, units: int, compensation: Compensation = "none"
    ) -> "Forecast | None":
        """Reads a forecast; none where there is none for such an archive.

        Args:
            path: what ``save`` wrote.
            evaluations: how many the archive holds.
            units: of its plans.
            compensation: of the plans that it evaluated.
        """
        try:
            content = read_document(path, _ForecastFile, remedy="search again", error=InputError)
        except InputError:
            return None
        fits = [Fit(surrogate=fit.surrogate.restore(), curves=fit.curves) for fit in content.fits]
        names = [name for name in BENCHMARKS if name in fits[0].curves]
        fitting = all(fit.surrogate.linear.shape == (2, units) and list(fit.curves) == names for fit in fits)
        found = content.evaluations, content.compensation
        if found != (evaluations, compensation) or not fitting:
            return None
        whole, *without = fits
        return cls(evaluations=evaluations, compensation=compensation, whole=whole, without=tuple(without))


def student(groups: int) -> float:
    """Half of a 90% interval in standard errors, of a jackknife with so many groups, from 4 to 8."""
    return _STUDENT[groups - 1]


def known_forecast(path: Path, archive: Archive | Sequence[Evaluation], space: PlanSpace) -> Forecast:
    """The forecast of an archive: read where there is one of just as many evaluations, otherwise fitted.

    Raises:
        InputError: if the archive is too small.
    """
    mode: Compensation = next((evaluation.compensation for evaluation in archive), "none")
    found = Forecast.load(path, evaluations=len(archive), units=space.num_units, compensation=mode)
    return fit_forecast(list(archive), space) if found is None else found


def fit_forecast(evaluations: Sequence[Evaluation], space: PlanSpace) -> Forecast:
    """Fits surrogate and curves to all evaluations, and again without each group of minibatches.

    Raises:
        InputError: if the archive is too small to say how sure a forecast is.
    """
    rows = list(evaluations)
    minibatches = list(dict.fromkeys(row.minibatch for row in rows))
    if len(rows) < FEWEST_EVALUATIONS or len(minibatches) < _FEWEST_GROUPS:
        raise InputError(
            f"a forecast needs at least {FEWEST_EVALUATIONS} evaluations on {_FEWEST_GROUPS} minibatches, this search "
            f"made {len(rows)} on {len(minibatches)}; search with more --evaluations or another --method"
        )
    groups = min(_GROUPS, len(minibatches))
    shuffled = np.random.default_rng(0).permutation(len(minibatches)) % groups
    group = dict(zip(minibatches, shuffled.tolist(), strict=True))
    return Forecast(
        evaluations=len(rows),
        compensation=rows[0].compensation,
        whole=_fit(rows, space),
        without=tuple(
            _fit([row for row in rows if group[row.minibatch] != left_out], space)
            for left_out in range(groups)
        ),
    )


def _fit(rows: Sequence[Evaluation], space: PlanSpace) -> Fit:
    surrogate = fit_surrogate(rows, space)
    loss = surrogate.damage(1.0 - kept_matrix(list(rows)) / space.widths)
    minibatch = np.unique([row.minibatch for row in rows], return_inverse=True)[1]
    questions = np.array([row.questions for row in rows], dtype=np.float64)
    curves = {
        name: fit_curve(
            loss[:, column_of(name)], np.array([row.accuracies[name] for row in rows]), minibatch, questions
        )
        for name in asked_benchmarks(rows)
    }
    return Fit(surrogate=surrogate, curves=curves)


def asked_benchmarks(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    """Names of the benchmarks that every evaluation asked, in the order of names."""
    common = set.intersection(*(set(each.accuracies) for each in evaluations)) if evaluations else set()
    return tuple(name for name in BENCHMARKS if name in common)


def fit_curve(loss: Floats, accuracy: Floats, minibatch: Ints, questions: Floats) -> Curve:
    """The curve of least squares, b and c_m in closed form for every shape of a small grid.

    Args:
        loss: predicted loss of each evaluation, ≥ 0, [N].
        accuracy: what it scored, [N].
        minibatch: index of its questions, from 0 without gaps, [N].
        questions: how many they are: its weight, [N].
    """
    typical = float(np.median(loss)) or 1.0
    weight = np.bincount(minibatch, questions)

    def level(values: Floats) -> Floats:
        """Mean of each minibatch, [M]."""
        means: Floats = np.bincount(minibatch, questions * values) / weight
        return means

    best, least = Curve(level=0.0, fall=0.0, scale=typical, power=1.0), np.inf
    centred = accuracy - level(accuracy)[minibatch]
    for scale in typical * np.array(_SCALES):
        for power in _POWERS:
            shape = _shape(loss, scale, power)
            feature = shape - level(shape)[minibatch]
            energy = float(questions @ feature**2)
            fall = max(0.0, -float(questions @ (feature * centred)) / energy) if energy > 0 else 0.0
            error = float(questions @ (centred + fall * feature) ** 2)
            if error < least:
                asked = weight / np.bincount(minibatch)
                height = float(level(accuracy + fall * shape) @ asked / asked.sum())
                best, least = Curve(level=height, fall=fall, scale=float(scale), power=power), error
    return best


def _shape(loss: Floats, scale: float, power: float) -> Floats:
    """1 − exp(−(d/s)^p), from 0 to 1."""
    result: Floats = -np.expm1(-((loss / scale) ** power))
    return result


def _as_json(fit: Fit) -> dict[str, object]:
    tables = {each.name: getattr(fit.surrogate, each.name).tolist() for each in fields(fit.surrogate)}
    return {"surrogate": tables, "curves": {name: asdict(curve) for name, curve in fit.curves.items()}}
