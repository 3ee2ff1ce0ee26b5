"""Searched runs with a policy of random weights, corrected or not by a surrogate of the synthetic archive."""

from pathlib import Path

import numpy as np
import torch

from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.files.writing import write_json
from hipp_prune.plans.plan import UnitKind
from hipp_prune.report.contents import Contents, read_contents
from hipp_prune.search.cloning import Clone
from hipp_prune.search.policy.network import PlanPolicy
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import PolicySolution
from hipp_prune.search.surrogate import fit_surrogate
from tests.unit.report.synthetic import BLOCKS, NEURONS, make_archive, make_calibration, space, write_search

FEATURES = 6


def make_planner(
    unit: UnitKind = "coupled", *, cloned: bool = True, blocks: int = BLOCKS, neurons: int = NEURONS
) -> Planner:
    within, coupled = space(unit, blocks, neurons), space("coupled", blocks, neurons)
    settings = SearchSettings(evaluations=200, s_max=0.6, r_max=0.8, unit=unit)
    rng = np.random.default_rng(3)
    state = rng.normal(size=(within.num_units, FEATURES)).astype(np.float32).astype(np.float64)
    torch.manual_seed(5)
    policy = PlanPolicy(FEATURES)
    for head in (policy.budget_head, policy.allocation_head):
        torch.nn.init.normal_(head.weight, std=0.4)
    scale = np.array([0.1, 0.1, 0.3])
    clone = None
    if cloned:
        surrogate = fit_surrogate(make_archive(noise=0.02, within=coupled), coupled)
        if unit == "rows":
            surrogate = type(surrogate)(
                **{
                    name: np.repeat(getattr(surrogate, name), 2, axis=1)
                    for name in ("linear", "quadratic", "cubic")
                }
            )
        clone = Clone(surrogate=surrogate, scale=scale, space=within, settings=settings)
    answers = PolicySolution(policy=policy.eval(), state=state, space=within, settings=settings, clone=clone)
    orders = [np.arange(neurons)] * blocks
    if unit == "rows":
        orders = [
            np.arange(width) for _ in range(blocks) for width in (neurons, neurons, within.shape.hidden_size)
        ]
    return Planner(
        answers=answers,
        space=within,
        settings=settings,
        state=state,
        features=tuple(f"feature {index}" for index in range(FEATURES)),
        orders=tuple(orders),
        scale=(0.1, 0.1, 0.3),
        questions="4567",
    )


def explored(folder: Path, planner: Planner, *, count: int = 60) -> Contents:
    """The contents of a run that this planner is of, with so many plans tried; plans of rows have no archive here."""
    run = RunDirectory(folder / "run")
    run.create(Provenance.now(model="models/some-vlm", questions=("toyworld",), seed=7))
    make_calibration(planner.space.shape.num_blocks).save(run.calibration)
    if planner.space.unit == "coupled":
        write_search(run, within=planner.space, count=count)
        widths = planner.space.shape.neurons
        footprint = {
            "weights": 100_000,
            "neurons": widths,
            "neuron_bytes": [96] * len(widths),
            "biases": 1000,
            "token": 64,
        }
        write_json(run.footprint, footprint)
    planner.save(run.search.planner)
    return read_contents(run)
