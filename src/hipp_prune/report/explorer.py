"""A page to decide with: a preference goes in, and the plan that the run's policy answers is shown at once.

The page holds the policy's weights and answers by itself (``policy.js``), as ``hipp-prune query`` does. Where a run's
answers come of something else, the page holds them for preferences on a grid, and asks for no others.
"""

import base64
import json
import shlex
from collections.abc import Mapping
from html import escape
from itertools import product
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch

from hipp_prune.errors import InputError
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import check_file, check_own, write_text
from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.space import PlanSpace
from hipp_prune.questions.benchmarks import BENCHMARKS, column_of
from hipp_prune.report.assets import asset
from hipp_prune.report.cloud import build_cloud, pareto_front
from hipp_prune.report.cloud_chart import cloud_axes, cloud_view
from hipp_prune.report.contents import DENSE, Contents, read_contents
from hipp_prune.report.prose import preference_html
from hipp_prune.search.archive import kept_matrix, objective_matrix
from hipp_prune.search.query.forecast import Forecast, known_forecast, student
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.query.roles import measured_roles
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import PolicySolution, SurrogateSolution
from hipp_prune.search.surrogate import Surrogate, fit_surrogate

GRID_STEPS = 20
"""Steps of an edge of the triangle where the page cannot compute answers: 231 preferences, 5% apart."""


def write_explorer(run: RunDirectory, out: Path | None = None, *, force: bool = False) -> Path:
    """Writes the page of a searched run, atomically, and returns its path.

    Args:
        run: a searched run directory.
        out: the page; ``RUN/explorer.html`` by default, which is ours to write anew.
        force: replaces another file that is there.

    Raises:
        IncompleteRunError: if the run has not been searched.
        OutputExistsError: if there is another file, and ``force`` is false.
        RunError: if the page cannot be written.
    """
    planner = Planner.load(run.require(run.search.planner, made_by=f"hipp-prune search {run.root}"))
    page = out or run.explorer
    if out is None:
        check_own(page, force=force)
    else:
        check_file(page, force=force)
    write_text(page, render_explorer(read_contents(run), planner))
    return page


def render_explorer(contents: Contents, planner: Planner) -> str:
    """The page's HTML."""
    return Template(asset("explorer.html")).substitute(
        title=escape(f"Choosing a plan for {contents.model_name}"),
        style=asset("page.css") + asset("explorer.css"),
        preference=preference_html(contents),
        explorer=explorer_html(contents, planner),
    )


def explorer_html(contents: Contents, planner: Planner) -> str:
    """The part of a page that one chooses in; needs the styles of ``page.css`` and ``explorer.css``."""
    data = explorer_data(contents, planner)
    return Template(asset("explorer_body.html")).substitute(
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        policy=asset("policy.js"),
        explorer=asset("explorer.js"),
        how=_HOW[data["answer"]["kind"]],
    )


_HOW = {
    "policy": "This page holds the run’s policy and answers by itself, as <code>hipp-prune query</code> does.",
    "surrogate": "This page holds the run’s surrogate and answers by itself, as <code>hipp-prune query</code> does.",
    "grid": "This run’s answers cannot be computed in a page, so it holds those of <code>hipp-prune query</code> for "
    f"preferences {100 // GRID_STEPS}% apart, and only those can be chosen.",
}


def explorer_data(contents: Contents, planner: Planner) -> dict[str, Any]:
    """All that the page computes with, as JSON has it."""
    space, run = planner.space, contents.run
    rows = [row for row in contents.archive if np.isfinite([row.robustness, row.utility]).all()]
    surrogate = fit_surrogate(rows, space)
    measured = measured_roles(rows)
    axes = cloud_axes(measured)
    forecast, missing = _forecast(contents, space)
    shape = space.shape
    return {
        "run": shlex.quote(str(run.root)),
        "checkpoints": shlex.quote(str(run.root / "checkpoints")),
        "names": _unit_names(space),
        "space": _space(space, planner.settings),
        "attainable": space.attainable,
        "totals": {
            "mlp": float(space.weights.sum()),
            "language": shape.language_parameters,
            "model": shape.total_parameters,
        },
        "asks": ["robustness" in measured, "utility" in measured, True],
        "answer": _answer(planner, asks=("robustness" in measured, "utility" in measured)),
        "surrogate": _tables(surrogate),
        "level": _level(rows, surrogate, space),
        "forecast": None if forecast is None else _forecast_data(forecast),
        "no_forecast": missing,
        "compression": planner.settings.compression,
        "axes": axes,
        "footprint": _footprint(contents, space),
        "tables": {
            name: None if table is None else {"constant": table.constant, "units": table.units}
            for name, table in (("flops", space.tables.flops), ("latency", space.tables.latency))
        },
        "sensitivity": _sensitivity(contents, space),
        "cloud": _cloud(contents, space, axes),
        **_measured(contents, space),
    }


def _unit_names(space: PlanSpace) -> list[str]:
    parts = [""] if space.unit == "coupled" else [" gate/up", " down"]
    return [f"block {block}{part}" for block in range(1, space.shape.num_blocks + 1) for part in parts]


def _space(space: PlanSpace, settings: SearchSettings) -> dict[str, Any]:
    return {
        "widths": space.widths.tolist(),
        "costs": space.costs.tolist(),
        "weights": space.weights.tolist(),
        "r_max": space.r_max,
        "s_min": settings.s_min,
        "s_max": settings.s_max,
        "kappa": settings.kappa,
    }


def _answer(planner: Planner, *, asks: tuple[bool, bool]) -> dict[str, Any]:
    """What the page answers with, and how; ``asks`` says whether robustness and utility can be weighed."""
    settings, answers = planner.settings, planner.answers
    usual = settings.compression == "parameters" and settings.allocation == "waterfill"
    if isinstance(answers, PolicySolution) and usual and settings.action == "hierarchical":
        clone = answers.clone
        network = answers.policy
        return {
            "kind": "policy",
            "heads": network.trunk.layers[0].self_attn.num_heads,
            "layers": len(network.trunk.layers),
            "state": _base64(torch.from_numpy(answers.state)),
            "tensors": {name: _base64(value) for name, value in network.state_dict().items()},
            "clone": None if clone is None else {**_tables(clone.surrogate), "scale": _list(clone.scale)},
        }
    if isinstance(answers, SurrogateSolution) and usual:
        return {
            "kind": "surrogate",
            "surrogate": {**_tables(answers.surrogate), "scale": _list(answers.scale)},
        }
    return {"kind": "grid", "steps": GRID_STEPS, "plans": _grid(planner, asks)}


def _grid(planner: Planner, asks: tuple[bool, bool]) -> dict[str, list[int]]:
    """Kept counts of the answers, by the steps of robustness and of utility."""
    steps = [
        (robust, useful)
        for robust, useful in product(range(GRID_STEPS + 1), repeat=2)
        if robust + useful <= GRID_STEPS and (asks[0] or not robust) and (asks[1] or not useful)
    ]
    shares = np.array(steps, dtype=np.float64) / GRID_STEPS
    preferences = np.concatenate([shares, 1.0 - shares.sum(axis=1, keepdims=True)], axis=1)
    budget = np.tile([planner.settings.s_min, planner.settings.s_max], (len(steps), 1))
    kept = planner.answers.kept(preferences, budget)
    return {f"{robust},{useful}": plan.tolist() for (robust, useful), plan in zip(steps, kept, strict=True)}


def _tables(surrogate: Surrogate) -> dict[str, list[list[float]]]:
    return {name: getattr(surrogate, name).tolist() for name in ("linear", "quadratic", "cubic")}


def _level(rows: list[Any], surrogate: Surrogate, space: PlanSpace) -> list[float]:
    """What the dense model would return in the cloud, (R_rob, R_util): the mean level of the questions."""
    if not rows:
        return [0.0, 0.0]
    ratios = 1.0 - kept_matrix(rows) / space.widths
    levels: Floats = objective_matrix(rows)[:, :2] + surrogate.damage(ratios)
    return _list(levels.mean(axis=0))


def _forecast(contents: Contents, space: PlanSpace) -> tuple[Forecast | None, str]:
    """The forecast of accuracies; of an archive too small for one, none, and a sentence about what it needs."""
    try:
        return known_forecast(contents.run.search.forecast, contents.archive, space), ""
    except InputError as error:
        return None, str(error)


def _forecast_data(forecast: Forecast) -> dict[str, Any]:
    return {
        "titles": [BENCHMARKS[name].title for name in forecast.names],
        "columns": [column_of(name) for name in forecast.names],
        "student": student(len(forecast.without)),
        "fits": [
            {
                **_tables(fit.surrogate),
                "curves": [
                    {"level": curve.level, "fall": curve.fall, "scale": curve.scale, "power": curve.power}
                    for curve in fit.curves.values()
                ],
            }
            for fit in (forecast.whole, *forecast.without)
        ],
    }


def _footprint(contents: Contents, space: PlanSpace) -> dict[str, Any] | None:
    """Bytes of the model and of its neurons, where the run knows them and plans save bytes."""
    footprint = contents.footprint
    if footprint is None or space.unit != "coupled" or footprint.neurons != space.shape.neurons:
        return None
    return {
        "weights": footprint.weights,
        "neurons": footprint.neurons,
        "neuron_bytes": footprint.neuron_bytes,
    }


def _sensitivity(contents: Contents, space: PlanSpace) -> list[float] | None:
    """S_l of each unit by the most attentive token, in [0, 1]."""
    if contents.sensitivity is None or len(contents.sensitivity["max"]) != space.shape.num_blocks:
        return None
    parts = space.num_units // space.shape.num_blocks
    return _list(np.repeat(contents.sensitivity["max"], parts))


def _cloud(contents: Contents, space: PlanSpace, axes: tuple[int, int]) -> dict[str, Any]:
    cloud = build_cloud(contents.archive, space)
    front = pareto_front(cloud.points)
    noise = "Each plan of the cloud answered few questions, so a place on the front is partly luck."
    level = "The difficulty of each set of questions has been taken out. " if cloud.levelled else ""
    return {
        "points": np.round(cloud.points, 4).tolist(),
        "front": np.flatnonzero(front).tolist(),
        "kept": [list(plan) for plan in cloud.plans],
        "view": cloud_view(cloud.points, front, axes) if len(cloud.points) else [[-1, 0], [-1, 0]],
        "note": level + noise,
    }


def _measured(contents: Contents, space: PlanSpace) -> dict[str, Any]:
    """Evaluated models, the plan of each where the run has it, and the benchmarks that they answered."""
    plans = {id(contents.evaluation_of(plan)): plan.kept for plan in contents.plans.values()}
    plans[id(contents.dense)] = tuple(space.widths.tolist())
    names = dict.fromkeys(name for each in contents.evaluations.values() for name in each.results.scores)
    measured = [
        {
            "label": each.label,
            "kept": plans.get(id(each)),
            "mlp": None if each.ledger is None else each.ledger.mlp,
            "bytes": each.bytes,
            "speed": 1.0 if each.label == DENSE else each.speedup,
            "scores": {name: score.accuracy for name, score in each.results.scores.items()},
        }
        for each in contents.evaluations.values()
    ]
    titles: list[Mapping[str, str]] = [{"name": name, "title": BENCHMARKS[name].title} for name in names]
    return {"measured": measured, "benchmarks": titles}


def _base64(values: torch.Tensor) -> str:
    return base64.b64encode(values.detach().float().contiguous().numpy().tobytes()).decode("ascii")


def _list(values: Floats) -> list[float]:
    result: list[float] = np.asarray(values, dtype=np.float64).tolist()
    return result
