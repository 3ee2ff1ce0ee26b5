"""Figure 2: the cloud of plans that one policy answers with, and its front, by model and budget range."""

from collections.abc import Sequence

import numpy as np

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell, schedule
from hipp_prune.experiments.paper.contenders import DENSE_MODEL, HYBRID
from hipp_prune.experiments.paper.drawing import Panel, draw_clouds
from hipp_prune.experiments.paper.part import Part, Section
from hipp_prune.experiments.paper.points import Point, budget_interval, is_inside, measure_points
from hipp_prune.experiments.paper.settings import PaperSettings, model_name
from hipp_prune.experiments.paper.tables import paragraphs
from hipp_prune.experiments.search_bench.fronts import hypervolume, lattice
from hipp_prune.files.markdown import markdown_table
from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.preference import Preference
from hipp_prune.report.cloud import pareto_front
from hipp_prune.report.grids import Rows

_WHAT = """One policy (one seed), asked for every preference whose weights are multiples of 1/{steps}: accuracies after
recovery, in %. Large dots lie on the front of POPE, multiple choice and sparsity. The hypervolume is the share of the
box from (50%, chance, smallest sparsity) to (dense, dense, largest) that the answers dominate.

![plan cloud](figure2.svg)"""


def cells(settings: PaperSettings) -> list[Cell]:
    """The lattice of preferences without a budget and at the hardest, of one seed; and dense models, to judge by."""
    preferences = tuple(map(Preference.of, lattice(settings.lattice)))
    seeds = settings.seed_range(1)
    return [
        *settings.free((HYBRID,), preferences, 1),
        *(
            cell
            for model in settings.budgets
            for cell in schedule([model], (HYBRID, DENSE_MODEL), [settings.hard(model)], seeds, preferences)
        ),
    ]


def section(settings: PaperSettings, results: Sequence[CellResult]) -> Section:
    """What the clouds span, and their picture."""
    points = measure_points(results)
    clouds: dict[tuple[str, float | None], list[Point]] = {}
    for model in settings.budgets:
        for budget in (None, settings.hard(model)):
            asked = (model, HYBRID, budget)
            cloud = [
                each for each in points if (each.cell.model, each.cell.contender, each.cell.budget) == asked
            ]
            if cloud:
                clouds[model, budget] = cloud
    table: Rows = [
        (
            "model",
            "budget",
            "queries",
            "plans",
            "POPE",
            "utility",
            "sparsity",
            "inside",
            "front",
            "hypervolume",
        )
    ]
    dense = {each.cell.model: each for each in points if each.cell.contender == DENSE_MODEL}
    table += [_row(settings, cloud, dense.get(model)) for (model, _), cloud in clouds.items()]
    panels = [
        Panel(
            title=f"{model_name(model)}, {_asked(settings, budget)}",
            points=_matrix(cloud),
            front=_front(cloud),
        )
        for (model, budget), cloud in clouds.items()
    ]
    return Section(
        text=paragraphs(_WHAT.format(steps=settings.lattice), markdown_table(table)),
        files={"figure2.svg": draw_clouds(panels)},
    )


def _row(settings: PaperSettings, cloud: Sequence[Point], dense: Point | None) -> tuple[str, ...]:
    matrix, budget = _matrix(cloud), cloud[0].cell.budget
    low, high = 100 * matrix.min(axis=0), 100 * matrix.max(axis=0)
    return (
        model_name(cloud[0].cell.model),
        _asked(settings, budget),
        str(len(cloud)),
        str(len(np.unique(matrix, axis=0))),
        *(f"{least:.1f} – {most:.1f}" for least, most in zip(low, high, strict=True)),
        f"{sum(is_inside(settings, each) for each in cloud)} of {len(cloud)}",
        str(int(_front(cloud).sum())),
        "–" if dense is None or budget is not None else f"{_volume(settings, cloud, dense):.3f}",
    )


def _volume(settings: PaperSettings, cloud: Sequence[Point], dense: Point) -> float:
    s_min, s_max = budget_interval(settings, None)
    low = np.array([0.5, dense.chance, s_min])
    high = np.array([dense.values["POPE after"], dense.values["choice after"], s_max])
    return hypervolume(_matrix(cloud), low, high)


def _asked(settings: PaperSettings, budget: float | None) -> str:
    low, high = budget_interval(settings, budget)
    return f"{100 * low:g} – {100 * high:g}%" if budget is None else f"{100 * budget:g}%"


def _matrix(cloud: Sequence[Point]) -> Floats:
    """(POPE, choice, sparsity), [N, 3]."""
    return np.array(
        [[each.values[name] for name in ("POPE after", "choice after", "sparsity")] for each in cloud]
    )


def _front(cloud: Sequence[Point]) -> np.ndarray:
    return pareto_front(_matrix(cloud))


PARTS = (Part(name="figure2", title="Figure 2: the plan cloud", cells=cells, section=section),)
