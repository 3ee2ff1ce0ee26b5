"""Who takes part, the order of cells, and what they need."""

from collections import Counter
from pathlib import Path

import pytest

from hipp_prune.baselines.methods import BASELINES
from hipp_prune.errors import InputError
from hipp_prune.experiments.compare.cells import (
    CONTENDERS,
    FOUR_PREFERENCES,
    SEARCHES,
    CalibrationJob,
    Cell,
    Contender,
    SearchJob,
    all_jobs,
    needs,
    schedule,
)
from hipp_prune.search.methods import METHODS

THREE = [Contender(method=method) for method in ("dense", "flap", "hybrid")]


def test_every_baseline_and_every_search_may_take_part() -> None:

    assert len(CONTENDERS) == len(set(CONTENDERS)) == 1 + len(BASELINES) + len(METHODS)
    assert not Contender(method="random").searches
    assert SEARCHES["random-search"] == "random"
    with pytest.raises(InputError, match="no method 'wonda'; choose among dense, ecoflap"):
        Contender(method="wonda")


def test_the_hybrid_is_called_by_the_papers_name_and_a_variant_is_said() -> None:
    gate = Contender(method="hybrid", variant="gate: off")
    assert gate.label == "HiPP-Prune · gate: off"
    assert gate.folder == "hybrid-gate-off"
    assert Contender(method="flap").label == "flap"


def test_at_any_time_no_combination_is_more_than_one_seed_ahead() -> None:
    cells = schedule(["a", "b"], THREE, [0.5, 0.2], range(3))
    kinds = [(cell.model, cell.contender.method, cell.budget, cell.preference) for cell in cells]
    for stop in range(len(cells) + 1):
        seeds = Counter({kind: 0 for kind in kinds})
        seeds.update(kinds[:stop])
        assert max(seeds.values()) - min(seeds.values()) <= 1


def test_a_search_is_asked_every_preference_at_every_budget_and_the_dense_model_takes_part_once() -> None:
    cells = schedule(["a"], THREE, [0.5, 0.2], [7])
    assert Counter(cell.contender.method for cell in cells) == {"dense": 1, "flap": 2, "hybrid": 8}
    asked = {(cell.budget, cell.preference) for cell in cells if cell.contender.searches}
    assert asked == {(budget, each) for budget in (0.2, 0.5) for each in FOUR_PREFERENCES}
    assert len({cell.path for cell in cells}) == len({str(cell) for cell in cells}) == len(cells)


def test_one_calibration_and_one_search_serve_all_cells_of_a_seed() -> None:
    jobs = all_jobs(schedule(["a"], THREE, [0.5, 0.2], [0, 1]))
    assert Counter(type(job) for job in jobs) == {CalibrationJob: 2, SearchJob: 2, Cell: 22}
    for job in jobs:
        assert all(jobs.index(need) < jobs.index(job) for need in needs(job))


def test_a_cell_needs_its_search_a_search_its_calibration_and_the_dense_model_nothing() -> None:
    dense, flap, *_, hybrid = schedule(["a"], THREE, [0.5], [3])
    calibration = CalibrationJob(model="a", seed=3)
    assert needs(dense) == ()
    assert needs(flap) == (calibration,)
    assert needs(hybrid) == (SearchJob(model="a", contender=THREE[2], seed=3),)
    assert needs(needs(hybrid)[0]) == (calibration,)


def test_a_free_budget_is_said_so() -> None:
    cell = Cell(model="m/vlm", contender=THREE[2], budget=None, preference=FOUR_PREFERENCES[0], seed=2)
    assert str(cell) == "vlm HiPP-Prune 1,0,0-free seed 2"


def test_ways_to_compensate_are_contenders_of_their_own_everywhere() -> None:
    plain, fitted = Contender(method="hybrid"), Contender(method="hybrid", compensation="ridge")
    assert (plain.mode, fitted.mode, Contender(method="flap").mode) == ("none", "ridge", "bias")
    assert plain.name == fitted.name == plain.label == "HiPP-Prune"
    assert fitted.label == "HiPP-Prune · ridge"
    cells = schedule(["a"], [plain, fitted], [0.5], [3])
    searches = {cell.search for cell in cells}
    assert len({str(cell) for cell in cells}) == len({cell.path(Path()) for cell in cells}) == 8
    assert len({each.folder(Path()) for each in searches if each is not None}) == 2, "archives never mix"


def test_gram_matrices_are_gathered_once_where_any_cell_needs_them() -> None:
    modes = [Contender(method="flap"), Contender(method="flap", compensation="ridge")]
    cells = schedule(["a"], modes, [0.5, 0.2], [0, 1])
    calibrations = [job for job in all_jobs(cells) if isinstance(job, CalibrationJob)]
    assert [(job.seed, job.grams) for job in calibrations] == [(0, True), (1, True)]
    calibrations = [job for job in all_jobs(cells[:2]) if isinstance(job, CalibrationJob)]
    assert [(job.seed, job.grams) for job in calibrations] == [(0, False)]
