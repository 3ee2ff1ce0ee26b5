"""Cells, their order, and a benchmark that goes on where it was stopped."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hipp_prune.errors import IncompleteRunError, InputError, OutputExistsError, RunError
from hipp_prune.experiments.search_bench import run as search_bench
from hipp_prune.experiments.search_bench.arenas import ArenaSpec, LandscapeArena
from hipp_prune.experiments.search_bench.run import claim, read_results, run_trials
from hipp_prune.experiments.search_bench.settings import FULL, BenchSettings
from hipp_prune.experiments.search_bench.trials import (
    LONG_METHODS,
    SearchTrial,
    TrialResult,
    finished,
    run_trial,
    schedule,
)
from hipp_prune.experiments.settings import CrewSettings
from hipp_prune.files.writing import write_text
from hipp_prune.search.settings import SearchSettings

BASE = SearchSettings(minibatch=8)
SPECS = {"landscape": ArenaSpec(name="landscape", run=None)}
CELL = SearchTrial(problem="landscape", method="random", budget=8, seed=0)


@pytest.fixture(scope="module")
def result() -> TrialResult:
    arena = LandscapeArena(0)
    return run_trial(CELL, arena, CELL.settings(BASE), name="landscape-0")


def test_at_any_time_no_combination_is_more_than_one_seed_ahead() -> None:
    cells = schedule(("a", "b"), ("hybrid", "random"), (250, 100), 3)
    for stop in range(len(cells) + 1):
        seeds = Counter({(cell.problem, cell.method, cell.budget): 0 for cell in cells})
        seeds.update((cell.problem, cell.method, cell.budget) for cell in cells[:stop])
        assert max(seeds.values()) - min(seeds.values()) <= 1
    assert len(set(cells)) == len(cells) == 2 * 2 * 2 * 3


def test_only_methods_that_learn_a_policy_get_more_than_a_thousand() -> None:
    cells = schedule(["a"], FULL.methods, FULL.budgets, FULL.seeds)
    assert {cell.method for cell in cells if cell.budget == 1000} == set(FULL.methods)
    assert {cell.method for cell in cells if cell.budget == 2000} == set(LONG_METHODS) & set(FULL.methods)


def test_a_cell_is_the_search_of_its_method_budget_and_seed() -> None:
    settings = replace(CELL, method="grpo-paper", seed=3).settings(BASE)
    assert (settings.method, settings.evaluations, settings.minutes, settings.seed) == (
        "grpo-paper",
        8,
        None,
        3,
    )
    assert (settings.unit, settings.minibatch) == ("rows", 8)
    assert SPECS["landscape"].adapt(settings).unit == "coupled"


def test_a_cell_answers_all_66_preferences_and_pays_its_budget(result: TrialResult) -> None:
    assert len(result.answers) == len(result.judged) == 66
    assert len(set(result.plans)) == len(result.plans)
    assert result.evaluations == 8


def test_a_cell_is_the_same_when_searched_again(result: TrialResult) -> None:
    again = run_trial(CELL, LandscapeArena(0), CELL.settings(BASE), name="landscape-0")
    assert replace(again, seconds=0, judging=0) == replace(result, seconds=0, judging=0)


def test_a_result_is_read_as_it_was_written(result: TrialResult, tmp_path: Path) -> None:
    result.save(tmp_path)
    assert finished([CELL], tmp_path, [CELL.settings(BASE)]) == {CELL: result}


def test_a_damaged_result_is_named(result: TrialResult, tmp_path: Path) -> None:
    write_text(CELL.path(tmp_path), "{}")
    with pytest.raises(IncompleteRunError, match=r"random-8-0\.json: expected a field 'cell', .*; delete it"):
        TrialResult.load(CELL.path(tmp_path))


def test_a_result_of_other_settings_is_refused(result: TrialResult, tmp_path: Path) -> None:
    result.save(tmp_path)
    with pytest.raises(RunError, match=r"other settings \(minibatch 8 → 16\).* choose another --out"):
        finished([CELL], tmp_path, [replace(CELL.settings(BASE), minibatch=16)])


def test_a_setting_that_is_newer_than_the_result_had_its_default(result: TrialResult, tmp_path: Path) -> None:
    older = {name: value for name, value in result.settings.items() if name != "kappa"}
    replace(result, settings=older).save(tmp_path)
    assert list(finished([CELL], tmp_path, [CELL.settings(BASE)])) == [CELL]


def test_a_benchmark_searches_what_is_missing_and_nothing_else(tmp_path: Path, result: TrialResult) -> None:
    result.save(tmp_path)
    before = CELL.path(tmp_path).stat().st_mtime_ns
    cells = schedule(("landscape",), ("random",), (8, 12), 2)
    lines: list[str] = []
    assert run_trials(tmp_path, cells, SPECS, BASE, crew=CrewSettings(workers=1), say=lines.append) == {}
    assert CELL.path(tmp_path).stat().st_mtime_ns == before
    results, references = read_results(tmp_path)
    assert {each.cell for each in results} == set(cells)
    assert set(references) == {"landscape-0", "landscape-1"}
    assert lines[0] == "1 of 4 searches are finished already"
    assert lines[-1].startswith("[4/4] landscape random 12 seed 1")
    assert run_trials(tmp_path, cells, SPECS, BASE, say=lines.append) == {}
    assert len(lines) == 4


def test_a_benchmark_out_of_time_leaves_whole_results_only(tmp_path: Path) -> None:
    cells = schedule(("landscape",), ("random",), (8,), 1)
    lines: list[str] = []
    assert (
        run_trials(tmp_path, cells, SPECS, BASE, crew=CrewSettings(workers=1, minutes=1e-9), say=lines.append)
        == {}
    )
    assert lines == ["the time is over; started again, it goes on from here"]
    assert read_results(tmp_path) == ([], {})


def test_a_search_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    specs = {**SPECS, "gone": ArenaSpec(name="gone", run=tmp_path / "gone")}
    cells = schedule(("gone", "landscape"), ("random",), (8,), 1)
    failed = run_trials(tmp_path, cells, specs, BASE, crew=CrewSettings(workers=1), say=[].append)
    assert list(failed) == [cells[0]]
    assert "gone" in failed[cells[0]]
    assert [each.cell for each in read_results(tmp_path)[0]] == [cells[1]]


def test_a_model_that_has_changed_is_refused(tmp_path: Path) -> None:
    search_bench._prepared(SPECS["landscape"], 0, tmp_path, BASE)
    other = search_bench.reference_path(tmp_path, "landscape-1")
    search_bench.reference_path(tmp_path, "landscape-0").rename(other)
    with pytest.raises(
        RunError, match="fingerprint landscape-0, landscape now has landscape-1; choose another"
    ):
        search_bench._prepared(SPECS["landscape"], 1, tmp_path, BASE)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "thesis.tex", "…")
    with pytest.raises(OutputExistsError, match=r"no bench\.json"):
        claim(tmp_path, SPECS, BASE)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_benchmark_takes_more_problems_but_no_other_judge(tmp_path: Path) -> None:
    model = ArenaSpec(name="vlm", run=tmp_path / "problems" / "vlm")
    claim(tmp_path, SPECS, BASE)
    claim(tmp_path, {**SPECS, "vlm": model}, BASE)
    claim(tmp_path, SPECS, BASE)
    with pytest.raises(RunError, match=r"other settings \(vlm .*'limit': 300.*'limit': 20"):
        claim(tmp_path, {"vlm": replace(model, limit=20)}, BASE)


def test_a_file_of_problems_is_what_it_is_declared_to_be(tmp_path: Path) -> None:
    write_text(tmp_path / "bench.json", '{"vlm": {"s_min": 0.1, "s_max": 1.5}}')
    with pytest.raises(IncompleteRunError, match=r"bench\.json: expected field 'vlm\.s_max' to be at most 1"):
        claim(tmp_path, SPECS, BASE)


def test_an_answer_must_name_a_plan(result: TrialResult, tmp_path: Path) -> None:
    result.save(tmp_path)
    path = CELL.path(tmp_path)
    path.write_text(path.read_text().replace('"answers": [', '"answers": [1000,', 1))
    with pytest.raises(
        IncompleteRunError, match=r"expected field 'answers' to name plans 0 to .*, found 1000"
    ):
        TrialResult.load(path)


def test_settings_must_be_positive() -> None:
    with pytest.raises(InputError, match="--seeds to be at least 1, found 0"):
        BenchSettings(seeds=0)
    with pytest.raises(InputError, match="budgets"):
        BenchSettings(budgets=())
