"""Who is ahead: rows of a table over seeds, and differences of two contenders with their intervals."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import CONTENDERS, DENSE, OURS, Contender
from hipp_prune.experiments.compare.scores import Scores, accuracies, picture_counts, score_columns
from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.modes import Compensation

Stage = Literal["before", "after"]
"""Whether answers are of the checkpoint before recovery or after it."""
STAGES: tuple[Stage, ...] = get_args(Stage)

ACCURACIES = ("robustness", "utility", "mean")
"""POPE balanced accuracy, multiple-choice accuracy, their mean."""
ASKED = "asked"
"""The two accuracies as the preference weighs them: POPE for 1,0,0, multiple choice for 0,1,0, the mean for 1,1,1.

A search that gives up what its user gives no weight to loses by the mean, and not by this."""
MEASURES = (*ACCURACIES, ASKED)
"""What differences are of."""

_BOOTSTRAPS = 2000
_MODES: tuple[Compensation, ...] = get_args(Compensation)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A contender on a model at a budget, before or after recovery."""

    model: str
    """Name of its folder."""
    budget: float | None
    contender: Contender
    stage: Stage
    results: tuple[CellResult, ...]
    """All of its cells: of each seed one, or one a preference."""
    robustness_share: float = 0.5
    """Of what is ``ASKED`` of a contender that answers no preference: the mean of those that the others are asked."""

    @cached_property
    def seeds(self) -> list[int]:
        """Those it has cells of."""
        return sorted({result.cell.seed for result in self.results})

    @cached_property
    def scores(self) -> list[Scores]:
        """What each result scores, in their order."""
        return [score_columns(getattr(result, self.stage)) for result in self.results]

    def over_seeds(self, measure: str) -> Floats:
        """A measure by seed, the mean over preferences within a seed."""
        return self._means(measure, [result.cell.seed for result in self.results])

    def over_preferences(self, measure: str) -> Floats:
        """A measure by preference, the mean over seeds of a preference: what the paper's ± is of."""
        return self._means(measure, [str(result.cell.preference) for result in self.results])

    def _means(self, measure: str, keys: Sequence[object]) -> Floats:
        values: dict[object, list[float]] = defaultdict(list)
        for key, scores, share in zip(keys, self.scores, self._shares, strict=True):
            values[key].append(_value(scores, measure, share))
        return np.array([np.mean(values[key]) for key in sorted(values, key=str)])

    @property
    def _shares(self) -> list[float]:
        """How much POPE weighs in what each cell is asked."""
        asked = (result.cell.preference for result in self.results)
        return [self.robustness_share if each is None else each.robustness_share for each in asked]

    @cached_property
    def resampled(self) -> dict[int, Floats]:
        """``MEASURES`` of each seed, the mean over preferences, for every weighting of the pictures, [W, 4]."""
        values: dict[int, list[Floats]] = defaultdict(list)
        for result, share in zip(self.results, self._shares, strict=True):
            counts = picture_counts(getattr(result, self.stage))
            drawn = _weights(len(counts)) @ counts
            values[result.cell.seed].append(accuracies(drawn, robustness_share=share))
        return {seed: np.mean(each, axis=0) for seed, each in values.items()}


@cache
def _weights(num_pictures: int) -> Floats:
    """How often each picture counts: once, and then in every draw of the bootstrap, [1 + draws, pictures]."""
    share = np.full(num_pictures, 1 / num_pictures)
    drawn = np.random.default_rng(0).multinomial(num_pictures, share, size=_BOOTSTRAPS)
    result: Floats = np.concatenate([np.ones((1, num_pictures)), drawn])
    return result


def _value(scores: Scores, measure: str, robustness_share: float) -> float:
    """A field of the scores, what is ``ASKED``, or a POPE split's balanced accuracy."""
    if measure == ASKED:
        return scores.asked(robustness_share)
    return scores.splits[measure] if measure in scores.splits else float(getattr(scores, measure))


def make_rows(results: Sequence[CellResult], stage: Stage) -> list[Row]:
    """A row for every model, budget and contender, in this order, methods as in ``CONTENDERS``.

    The dense model, which has no budget, stands first at every budget of its model.
    """
    results = sorted(results, key=_place)
    groups: dict[tuple[str, float | None], dict[str, list[CellResult]]] = defaultdict(
        lambda: defaultdict(list)
    )
    dense: dict[str, list[CellResult]] = defaultdict(list)
    for result in results:
        name, contender = Path(result.cell.model).name, result.cell.contender
        if contender.method == DENSE:
            dense[name].append(result)
        else:
            groups[name, result.cell.budget][contender.label].append(result)
    found = []
    for (name, budget), contenders in sorted(
        groups.items(), key=lambda item: (item[0][0], item[0][1] or 0.0)
    ):
        everyone = [dense[name], *contenders.values()]
        share = _mean_share(chain(*everyone))
        for members in everyone:
            if members:
                found.append(
                    Row(
                        model=name,
                        budget=budget,
                        contender=members[0].cell.contender,
                        stage=stage,
                        results=tuple(members),
                        robustness_share=share,
                    )
                )
    return found


def _mean_share(results: Iterable[CellResult]) -> float:
    """Mean ``robustness_share`` of the preferences that are asked, each once; a half where none is."""
    asked = {str(each.cell.preference): each.cell.preference for each in results}
    shares = [preference.robustness_share for preference in asked.values() if preference is not None]
    return float(np.mean(shares)) if shares else 0.5


def _place(result: CellResult) -> tuple[object, ...]:
    cell = result.cell
    contender = cell.contender
    mode = _MODES.index(contender.mode)
    return CONTENDERS.index(contender.method), contender.variant, mode, cell.seed, str(cell)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One contender minus another, over the seeds that both have."""

    ours: Row
    theirs: Row
    gain: tuple[float, ...]
    """Of each of ``MEASURES``."""
    intervals: tuple[tuple[float, float], ...]
    """95%, of each of them."""
    seeds: int

    def word(self, measure: str = ASKED) -> Literal["ahead of", "tied with", "behind"]:
        """Tied where the interval holds zero."""
        low, high = self.intervals[MEASURES.index(measure)]
        if low > 0:
            return "ahead of"
        return "behind" if high < 0 else "tied with"


def difference(ours: Row, theirs: Row, *, seed: int = 0) -> Difference | None:
    """One row minus another, with paired bootstrap 95% intervals over seeds and pictures; None without a common seed.

    Pictures are drawn with replacement, the same for both rows and for all seeds, since all are asked the same
    questions; then seeds are, their deviations from the mean stretched by √(S/(S−1)), without which S draws of S seeds
    vary too little (Rao & Wu 1988). A preference is no draw: each seed counts by its mean over preferences.
    """
    seeds = sorted(set(ours.seeds) & set(theirs.seeds))
    if not seeds:
        return None
    gains = np.stack([ours.resampled[each] - theirs.resampled[each] for each in seeds])
    middle, number = gains.mean(axis=0), len(seeds)
    spread = middle + (gains - middle) * np.sqrt(number / max(1, number - 1))
    chosen = np.random.default_rng(seed).integers(number, size=(_BOOTSTRAPS, number))
    draws = spread[chosen, np.arange(1, _BOOTSTRAPS + 1)[:, None]].mean(axis=1)
    measured = ~np.isnan(draws).all(axis=0)  # a role that nobody was asked about is not
    low, high = np.full((2, draws.shape[1]), np.nan)
    low[measured], high[measured] = np.nanquantile(draws[:, measured], [0.025, 0.975], axis=0)
    return Difference(
        ours=ours,
        theirs=theirs,
        gain=tuple(middle[0].tolist()),
        intervals=tuple(zip(low.tolist(), high.tolist(), strict=True)),
        seeds=number,
    )


def runner_up(rows: Sequence[Row], ours: Row, measure: str = ASKED) -> Row | None:
    """The best of the others on the model, at the budget and stage of ``ours``, by this measure.

    Others are compensated as ``ours`` is, or as they have it themselves; without that they may be weaker than need be.
    """
    rivals = [
        row
        for row in rows
        if (row.model, row.budget, row.stage) == (ours.model, ours.budget, ours.stage)
        and row.contender.method != DENSE
        and row.contender.name != ours.contender.name
        and (row.contender.compensation is None or row.contender.mode == ours.contender.mode)
    ]
    return max(rivals, key=lambda row: float(row.over_seeds(measure).mean()), default=None)


def champion_rows(rows: Sequence[Row], name: str = OURS) -> list[Row]:
    """The rows of the contender with this name, of those of one model, budget and stage: one a way to compensate."""
    return [row for row in rows if row.contender.name == name]


def challenged(champions: Sequence[Row], row: Row) -> Row | None:
    """Which of a champion's rows another row is compared with: one compensated alike if there is one, or the first."""
    alike = (each for each in champions if each.contender.mode == row.contender.mode)
    return next(alike, champions[0] if champions else None)
