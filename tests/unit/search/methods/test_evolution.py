import sys

import numpy as np
import pytest

from hipp_prune.errors import InputError
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Archive, objective_matrix
from hipp_prune.search.loop import search
from hipp_prune.search.methods.evopress import mutate
from hipp_prune.search.methods.nsga2 import decode
from hipp_prune.search.settings import SearchSettings
from tests.unit.plans.shapes import make_shape

WORLD = Landscape(blocks=6, seed=1)
SPACE = PlanSpace(shape=make_shape((400, 200, 400, 100)), r_max=0.8)


def test_mutations_keep_the_sparsity_and_the_box():
    rng = np.random.default_rng(0)
    kept = SPACE.kept(np.full((1, 4), 0.4))[0]
    seen = set()
    for _ in range(100):
        kept = mutate(kept, SPACE, rng)
        seen.add(tuple(kept.tolist()))
        assert SPACE.sparsity(kept) == pytest.approx(0.4, abs=1e-3)
        assert (1 - kept / SPACE.widths <= 0.8 + 1e-9).all()
        assert (kept <= SPACE.widths).all()
    assert len(seen) > 50


def test_a_plan_without_room_stays_as_it_is():
    full = SPACE.kept(np.full((1, 4), 0.8))[0]
    assert mutate(full, SPACE, np.random.default_rng(0)).tolist() == full.tolist()


def test_offspring_of_a_generation_answer_the_same_questions():
    settings = SearchSettings(evaluations=40).for_method("evopress")
    archive = Archive()
    search(WORLD, settings, archive)
    sizes = {}
    for evaluation in archive:
        sizes.setdefault(evaluation.minibatch, set()).add(evaluation.questions)
    assert sizes["generation-0-all"] == {8}
    assert sizes["generation-0-best"] == {32}
    assert sizes["winners"] == {64}


def test_evopress_beats_uniform_pruning_without_noise():
    world = Landscape(blocks=6, seed=1, noise=0.0)
    result = search(world, SearchSettings(evaluations=200).for_method("evopress"), Archive())
    preferences = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    kept = result.answers.kept(preferences, np.full((2, 2), 0.3))
    uniform = world.objectives(np.full(6, 352 * 0.7))
    assert world.objectives(kept[0])[0] > uniform[0]
    assert world.objectives(kept[1])[1] > uniform[1]


def test_the_last_generation_of_nsga2_is_nearer_to_the_front_than_the_first():
    archive = Archive()
    world = Landscape(blocks=6, seed=1, noise=0.0)
    search(world, SearchSettings(evaluations=192).for_method("nsga2"), archive)
    values = objective_matrix(list(archive))
    dominates = (values[:, None] >= values).all(axis=2) & (values[:, None] > values).any(axis=2)
    times_dominated = dominates.sum(axis=0)
    assert times_dominated[-32:].mean() < 0.5 * times_dominated[:32].mean()


def test_ratios_outside_the_budget_are_scaled_back_into_it():
    settings = SearchSettings(s_min=0.2, s_max=0.4)
    ratios = np.array([[0.1, 0.1, 0.1, 0.1], [0.8, 0.8, 0.0, 0.8], [0.3, 0.3, 0.3, 0.3]])
    kept = decode(ratios, SPACE, settings)
    np.testing.assert_allclose(SPACE.sparsity(kept), [0.2, 0.4, 0.3], atol=1e-3)
    assert kept[1, 2] >= 398


def test_without_pymoo_nsga2_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymoo", None)
    with pytest.raises(InputError, match=r"needs pymoo.*pip install '\.\[experiments\]'"):
        search(WORLD, SearchSettings(evaluations=4).for_method("nsga2"), Archive())
