"""Operating points: what queries of a policy came to, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.experiments.compare.scores import score_columns
from hipp_prune.experiments.paper.settings import PaperSettings

WEIGHTS = {"POPE before": 0, "choice before": 1, "POPE after": 0, "choice after": 1, "sparsity": 2}
"""What a point has, and which entry of λ asks for it."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """What one checkpoint scored: a point of Fig. 2 and Table 3."""

    cell: Cell
    values: dict[str, float]
    """Balanced accuracy, multiple-choice accuracy and sparsity, by the names of ``WEIGHTS``."""
    chance: float
    """Multiple-choice accuracy of a guess."""
    neuron: float
    """The sparsity that one neuron (row) more or less makes."""

    def weight(self, name: str) -> float:
        """λ_k of a value."""
        assert self.cell.preference is not None, "only searches are asked for preferences"
        return float(self.cell.preference.vector[WEIGHTS[name]])


def measure_points(results: Sequence[CellResult]) -> list[Point]:
    """Every result as a point."""
    points = []
    for result in results:
        stages = {"before": score_columns(result.before), "after": score_columns(result.after)}
        values = {f"POPE {stage}": scores.robustness for stage, scores in stages.items()}
        values |= {f"choice {stage}": scores.utility for stage, scores in stages.items()}
        values["sparsity"] = result.ledger.mlp
        neuron = (1 - result.ledger.mlp) / sum(result.kept) if result.kept else 0.0
        points.append(Point(cell=result.cell, values=values, chance=stages["after"].chance, neuron=neuron))
    return points


def budget_interval(settings: PaperSettings, budget: float | None) -> tuple[float, float]:
    """The sparsities that a query may be answered with."""
    if budget is not None:
        return budget, budget
    return settings.compare.s_min, settings.compare.s_max


def is_inside(settings: PaperSettings, point: Point) -> bool:
    """Whether a plan's sparsity lies in the budget it was given, to one neuron."""
    low, high = budget_interval(settings, point.cell.budget)
    return low - point.neuron <= point.values["sparsity"] <= high + point.neuron
