"""Rank correlations of small samples, and how they are written; no torch."""

from collections.abc import Sequence

import numpy as np

from hipp_prune.experiments.search_bench.fronts import paired_interval
from hipp_prune.plans.arrays import Floats


def ranks(values: Sequence[float] | Floats) -> Floats:
    """Rank of each value from 1, equal values sharing their mean rank, [N]."""
    array = np.asarray(values, dtype=np.float64)
    below = (array[None, :] < array[:, None]).sum(axis=1)
    equal = (array[None, :] == array[:, None]).sum(axis=1)
    result: Floats = below + (equal + 1) / 2
    return result


def spearman(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> float | None:
    """Spearman's ρ in [−1, 1]: the correlation of ranks; None where one of them does not vary."""
    first, second = ranks(x), ranks(y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def kendall(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> float | None:
    """Kendall's τ_b in [−1, 1]: agreeing less disagreeing pairs, corrected for ties; None where one does not vary."""
    first, second = (np.asarray(values, dtype=np.float64) for values in (x, y))
    pairs = np.triu_indices(len(first), k=1)
    signs = [np.sign(values[pairs[0]] - values[pairs[1]]) for values in (first, second)]
    untied = float(np.prod([np.abs(sign).sum() for sign in signs]))
    if untied == 0:
        return None
    return float((signs[0] * signs[1]).sum() / np.sqrt(untied))


def mean_and_std(values: Sequence[float] | Floats, *, scale: float = 100.0, digits: int = 1) -> str:
    """``72.9 ± 0.9``: mean and sample standard deviation; the mean alone of one value, a dash of none."""
    if not len(values):
        return "–"
    array = scale * np.asarray(values, dtype=np.float64)
    if len(array) == 1:
        return f"{array[0]:.{digits}f}"
    return f"{array.mean():.{digits}f} ± {array.std(ddof=1):.{digits}f}"


def mean_and_interval(values: Sequence[float], *, digits: int = 2) -> str:
    """``0.81 [0.77, 0.84]``: mean and bootstrap 95% interval over values; a dash of none."""
    if not values:
        return "–"
    interval = paired_interval(values)
    tail = "" if interval is None else f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"
    return f"{np.mean(values):.{digits}f}{tail}"
