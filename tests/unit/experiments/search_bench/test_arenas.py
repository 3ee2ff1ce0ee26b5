"""Arenas: known optima, the units of a preference, and held-out questions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hipp_prune.errors import IncompleteRunError, InputError
from hipp_prune.experiments.search_bench.arenas import (
    ArenaSpec,
    LandscapeArena,
    Reference,
    arena_specs,
    measure_reference,
)
from hipp_prune.experiments.search_bench.fronts import best_values, lattice
from hipp_prune.files.writing import write_text
from hipp_prune.search.session import random_ratios
from hipp_prune.search.settings import SearchSettings

CONFIG = SearchSettings()


@pytest.fixture(scope="module")
def arena() -> LandscapeArena:
    return LandscapeArena(3)


@pytest.fixture(scope="module")
def reference(arena: LandscapeArena) -> Reference:
    return measure_reference(arena, CONFIG)


def test_no_plan_beats_the_known_optimum(arena: LandscapeArena, reference: Reference) -> None:
    optima = reference.objectives(reference.optima)
    best = (optima * lattice()).sum(axis=1)
    problem = arena.problem(CONFIG)
    rng = np.random.default_rng(0)
    random = arena.judge(problem.space.kept(random_ratios(problem, CONFIG, 2000, rng)))
    assert (best_values(reference.objectives(random), lattice()) <= best + 1e-9).all()


def test_moving_one_neuron_between_blocks_does_not_improve_an_optimum(
    arena: LandscapeArena, reference: Reference
) -> None:
    index = 30
    kept = np.array(reference.optima[index].kept)
    eye = np.eye(len(kept), dtype=int)
    moved = np.concatenate([kept + eye[source] - eye for source in range(len(kept))])
    moved = moved[(moved <= 352).all(axis=1)]
    values = reference.objectives(arena.judge(moved)) @ lattice()[index]
    best = (reference.objectives([reference.optima[index]]) @ lattice()[index])[0]
    assert (values <= best + 1e-12).all()


def test_the_optima_respect_the_budget_and_the_box(reference: Reference) -> None:
    for plan in reference.optima:
        assert CONFIG.s_min <= plan.sparsity <= CONFIG.s_max
        assert min(plan.kept) >= 0.2 * 352


def test_random_plans_have_unit_spread_in_every_objective(reference: Reference) -> None:
    np.testing.assert_allclose(reference.objectives(reference.random).std(axis=0, ddof=1), 1)


def test_an_objective_that_does_not_vary_keeps_its_unit(reference: Reference) -> None:
    same = tuple(replace(plan, robustness=-0.5) for plan in reference.random)
    assert replace(reference, random=same).scale[0] == 1.0


def test_a_reference_is_read_as_it_was_written(reference: Reference, tmp_path: Path) -> None:
    reference.save(tmp_path / "reference.json")
    assert Reference.load(tmp_path / "reference.json") == reference


def test_something_else_is_no_reference(tmp_path: Path) -> None:
    write_text(tmp_path / "reference.json", '{"random": [], "optima": []}')
    with pytest.raises(
        IncompleteRunError, match=r"reference\.json: expected a field 'fingerprint', .*; delete it"
    ):
        Reference.load(tmp_path / "reference.json")


def test_each_seed_is_another_landscape_but_the_same_model(tmp_path: Path) -> None:
    assert ArenaSpec(name="landscape", run=None).instance(2) == "landscape-2"
    assert ArenaSpec(name="vlm", run=tmp_path).instance(2) == "vlm"


def test_a_model_is_calibrated_inside_and_a_run_is_used_where_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "mine" / "run.json", "{}")
    specs = arena_specs(tmp_path / "out", ["owner/vlm", str(tmp_path / "mine"), "landscape"])
    assert [spec.run for spec in specs.values()] == [
        tmp_path / "out" / "problems" / "vlm",
        tmp_path / "mine",
        None,
    ]


def test_two_problems_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two problems are called vlm"):
        arena_specs(tmp_path, ["owner/vlm", "other/vlm"])
