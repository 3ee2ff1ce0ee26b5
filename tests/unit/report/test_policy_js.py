"""The policy in a page answers as the run's own does: the same script, run by node, against ``Planner``."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hipp_prune.plans.allocation import target_sparsity
from hipp_prune.plans.costs import Costs, CostTable
from hipp_prune.plans.plan import UnitKind
from hipp_prune.plans.preference import Preference
from hipp_prune.report.assets import asset
from hipp_prune.report.contents import Contents
from hipp_prune.report.explorer import GRID_STEPS, explorer_data
from hipp_prune.search.actor import Actor
from hipp_prune.search.query.forecast import fit_forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import PolicySolution, SurrogateSolution, TableSolution
from tests.unit.report.explored import explored, make_planner

PREFERENCES = [(1, 0, 0), (0, 100, 0), (0, 0, 7), (34, 33, 33), (5, 15, 80), (61, 38, 1)]

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")


def asked(data: dict, script: str, folder: Path) -> list:
    """What an expression over ``data`` (prepared) evaluates to, by the page's own script."""
    program = folder / "asked.js"
    program.write_text(
        f"{asset('policy.js')}\nconst data = Policy.prepared({json.dumps(data)});\n"
        f"console.log(JSON.stringify({script}));\n",
        encoding="utf-8",
    )
    found = subprocess.run(["node", str(program)], capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def plans_of(contents: Contents, planner: Planner, folder: Path, sparsity: float | None = None) -> list:
    data = explorer_data(contents, planner)
    wanted = json.dumps(PREFERENCES)
    share = json.dumps(sparsity)
    return asked(data, f"{wanted}.map((weights) => Policy.plan(data, weights, {share}))", folder)


def ratios_of(planner: Planner, weights: tuple[int, ...], sparsity: float | None) -> np.ndarray:
    """The ratios of a policy's answer, before they are rounded to neurons."""
    settings, answers = planner.settings, planner.answers
    assert isinstance(answers, PolicySolution)
    actor = Actor(network=answers.policy, state=answers.state, settings=settings, clone=answers.clone)
    budget = np.array([[settings.s_min, settings.s_max] if sparsity is None else [sparsity, sparsity]])
    with torch.inference_mode():
        z = actor.distribution(Preference.of(weights).vector[None], budget).mean.double().numpy()
    share = target_sparsity(1 / (1 + np.exp(-z[:, 0])), budget[:, 0], budget[:, 1])
    return planner.space.ratios(z[:, 1:], share, kappa=settings.kappa)[0]


@needs_node
@pytest.mark.parametrize("unit", ["coupled", "rows"])
@pytest.mark.parametrize("cloned", [True, False])
@pytest.mark.parametrize("sparsity", [None, 0.31])
def test_the_page_answers_as_query_does(
    tmp_path: Path, unit: UnitKind, cloned: bool, sparsity: float | None
) -> None:
    planner = make_planner(unit, cloned=cloned)
    contents = explored(tmp_path, planner)
    found = plans_of(contents, planner, tmp_path, sparsity)
    for weights, plan in zip(PREFERENCES, found, strict=True):
        assert np.abs(plan["ratios"] - ratios_of(planner, weights, sparsity)).max() < 1e-4
        kept = np.array(planner.query(Preference.of(weights), sparsity=sparsity).kept)
        assert np.abs(np.array(plan["kept"]) - kept).max() <= 1
        assert (np.array(plan["kept"]) != kept).mean() <= 0.2


@needs_node
def test_a_surrogate_answers_in_the_page_too(tmp_path: Path) -> None:
    planner = make_planner("coupled", cloned=True)
    assert isinstance(planner.answers, PolicySolution)
    clone = planner.answers.clone
    assert clone is not None
    planner = replace(
        planner,
        answers=SurrogateSolution(
            surrogate=clone.surrogate, scale=clone.scale, space=planner.space, settings=planner.settings
        ),
    )
    for weights, plan in zip(
        PREFERENCES, plans_of(explored(tmp_path, planner), planner, tmp_path), strict=True
    ):
        kept = np.array(planner.query(Preference.of(weights)).kept)
        assert np.abs(np.array(plan["kept"]) - kept).max() <= 1


@needs_node
def test_what_a_page_cannot_compute_is_exact_on_a_grid(tmp_path: Path) -> None:
    planner = make_planner("coupled", cloned=False)
    space = planner.space
    contents = explored(tmp_path, planner)
    rows = contents.archive
    table = TableSolution(
        plans=np.array([row.kept for row in rows]),
        objectives=np.array([[row.robustness, row.utility, row.sparsity] for row in rows]),
        scale=np.array(planner.scale),
        space=space,
        settings=planner.settings,
    )
    planner = replace(planner, answers=table)
    data = explorer_data(contents, planner)
    assert data["answer"]["kind"] == "grid"
    assert len(data["answer"]["plans"]) == (GRID_STEPS + 1) * (GRID_STEPS + 2) // 2
    on_grid = [(100, 0, 0), (35, 25, 40), (0, 5, 95)]
    found = asked(data, f"{json.dumps(on_grid)}.map((weights) => Policy.plan(data, weights))", tmp_path)
    for weights, plan in zip(on_grid, found, strict=True):
        assert tuple(plan["kept"]) == planner.query(Preference.of(weights)).kept


@needs_node
def test_predictions_and_costs_are_those_of_the_run(tmp_path: Path) -> None:
    planner = make_planner("coupled", cloned=True)
    contents = explored(tmp_path, planner)
    space = planner.space
    rows = [replace(row, minibatch=f"set {i % 6}") for i, row in enumerate(contents.archive)]
    contents = replace(contents, archive=rows)
    forecast = fit_forecast(rows, space)
    kept = np.array(planner.query(Preference.of((1, 1, 1))).kept)
    ratios = (1 - kept / space.widths).tolist()
    table = CostTable(constant=2.0, units=((0.0, 0.5, 2.0),) * space.num_units, conditions="")
    data = explorer_data(contents, planner)
    costs = json.dumps({"constant": table.constant, "units": table.units})
    script = (
        f"[Policy.forecast(data, {ratios}), Policy.saved({costs}, {ratios}), "
        f"Policy.damage(data.surrogate, {ratios})]"
    )
    accuracies, saved, damage = asked(data, script, tmp_path)
    means, margins = forecast.accuracies(kept[None], space)
    assert np.array(accuracies) == pytest.approx(np.stack([means[0], margins[0]], axis=1), abs=1e-9)
    assert saved == pytest.approx(table.saved(np.array(ratios)), abs=1e-12)
    assert damage == pytest.approx(forecast.whole.surrogate.damage(np.array([ratios]))[0], abs=1e-9)


def test_latency_decides_in_python_so_the_page_has_a_grid(tmp_path: Path) -> None:
    planner = make_planner("coupled", cloned=True)
    table = CostTable(constant=1.0, units=((0.0, 1.0),) * planner.space.num_units, conditions="")
    space = replace(planner.space, compression="latency", tables=Costs(latency=table))
    settings: SearchSettings = replace(planner.settings, compression="latency", s_min=0.05, s_max=0.3)
    assert isinstance(planner.answers, PolicySolution)
    answers = replace(planner.answers, space=space, settings=settings, clone=None)
    planner = replace(planner, space=space, settings=settings, answers=answers)
    data = explorer_data(explored(tmp_path, planner), planner)
    kept = planner.query(Preference.of((1, 0, 0))).kept
    assert tuple(data["answer"]["plans"][f"{GRID_STEPS},0"]) == kept
