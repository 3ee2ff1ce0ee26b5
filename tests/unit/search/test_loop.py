import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hipp_prune.errors import RunError
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.objectives.band import StabilityBand
from hipp_prune.objectives.returns import PlanScores
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.search.archive import Archive, Evaluation
from hipp_prune.search.loop import SearchResult, search
from hipp_prune.search.methods import METHODS
from hipp_prune.search.session import random_ratios
from hipp_prune.search.settings import SearchSettings

SMALL = Landscape(blocks=4)
QUICK = SearchSettings(evaluations=64, warm_up=0.25, proposals=0.25, rounds=2, probe=16, groups=4, group=8)


class Counting:
    """A landscape that counts what it is asked, and may be interrupted."""

    def __init__(self, problem: Landscape = SMALL, *, stop_after: int | None = None) -> None:
        self.problem, self.stop_after = problem, stop_after
        self.space, self.state = problem.space, problem.state
        self.asked: Counter[tuple[tuple[int, ...], str]] = Counter()
        self.questions = 0

    def log_ratio(self, kept: Ints) -> Floats:
        return self.problem.log_ratio(kept)

    def evaluate(self, kept: Ints, minibatch: str, size: int) -> PlanScores:
        if sum(self.asked.values()) == self.stop_after:
            raise KeyboardInterrupt
        self.asked[tuple(kept.tolist()), minibatch] += 1
        self.questions += size
        return self.problem.evaluate(kept, minibatch, size)


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[SearchResult, Archive]:
    archive = Archive()
    return search(SMALL, QUICK, archive), archive


def _timeless(archive: Archive) -> list[Evaluation]:
    return [replace(evaluation, seconds=0.0) for evaluation in archive]


def _assert_same(first: SearchResult, second: SearchResult) -> None:
    ours, theirs = first.answers.tensors(), second.answers.tensors()
    assert first.answers.kind == second.answers.kind
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert first.curve == second.curve
    assert first.scale == second.scale


def test_two_runs_are_identical():
    settings = replace(QUICK, evaluations=32)
    archives = Archive(), Archive()
    results = []
    for archive in archives:
        torch.manual_seed(np.random.default_rng().integers(2**31))  # whatever happened before does not matter
        results.append(search(SMALL, settings, archive))
    assert _timeless(archives[0]) == _timeless(archives[1])
    _assert_same(*results)


def test_another_seed_is_another_search():
    archives = [Archive(), Archive()]
    for seed, archive in enumerate(archives):
        search(SMALL, replace(QUICK, evaluations=16, seed=seed), archive)
    assert _timeless(archives[0]) != _timeless(archives[1])


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path, method):
    settings = replace(QUICK.for_method(method), evaluations=24)
    whole = Archive()
    expected = search(SMALL, settings, whole)
    for stop_after in (len(whole) // 2, len(whole) - 1):
        path = tmp_path / f"archive-{stop_after}.jsonl"
        first = Counting(stop_after=stop_after)
        with pytest.raises(KeyboardInterrupt):
            search(first, settings, Archive(path))
        second = Counting()
        resumed = Archive(path)
        assert len(resumed) == stop_after
        result = search(second, settings, resumed)
        assert _timeless(resumed) == _timeless(whole) == _timeless(Archive(path))
        _assert_same(result, expected)
        asked = first.asked + second.asked
        assert set(asked.values()) == {1}
        assert sum(second.asked.values()) == len(whole) - stop_after


def test_a_search_cut_off_in_the_middle_of_a_line_goes_on(tmp_path: Path, uninterrupted):
    expected, whole = uninterrupted
    path = tmp_path / "archive.jsonl"
    for evaluation in list(whole)[:30]:
        Archive(path).add(evaluation)
    path.write_bytes(path.read_bytes()[:-20])
    again = Counting()
    resumed = Archive(path)
    assert len(resumed) == 29
    _assert_same(search(again, QUICK, resumed), expected)
    assert sum(again.asked.values()) == len(whole) - 29
    assert _timeless(Archive(path)) == _timeless(whole)


def test_a_finished_search_pays_for_nothing(uninterrupted):
    expected, archive = uninterrupted
    again = Counting()
    _assert_same(search(again, QUICK, archive), expected)
    assert not again.asked


@pytest.mark.parametrize(
    ("evaluations", "shares"),
    [(1, (0.3, 0.4)), (3, (0.5, 0.5)), (7, (0.01, 0.99)), (10, (1.0, 0.0)), (50, (0.25, 0.25)), (40, (0.0, 0.0))],
)  # fmt: skip
def test_phases_of_any_length_stay_in_the_budget(evaluations, shares):
    settings = replace(QUICK, evaluations=evaluations, warm_up=shares[0], proposals=shares[1], rounds=4)
    _check_budget(settings)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("evaluations", [1, 4, 61])
def test_every_method_stays_in_its_budget_and_answers(method, evaluations):
    settings = replace(QUICK.for_method(method), evaluations=evaluations)
    result = _check_budget(settings)
    kept = result.answers.kept(np.eye(3), np.tile([0.3, 0.3], (3, 1)))
    drift = 4 if settings.allocation == "paper" else 1  # the paper rounds every unit down on its own
    np.testing.assert_allclose(SMALL.space.sparsity(kept), 0.3, atol=drift / (4 * 352))


SPENDING = replace(QUICK, probe=32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("evaluations", [1, 7, 20, 64, 83])
def test_every_method_spends_what_it_was_given_or_says_why_not(method, evaluations):
    settings = replace(SPENDING.for_method(method), evaluations=evaluations)
    problem = Counting()
    result = search(problem, settings, Archive())
    assert problem.questions == result.spent * settings.minibatch, "only what is asked anew is paid for"
    if result.spent == evaluations:
        assert result.unspent is None
    else:
        assert evaluations - result.spent < 4, "fewer than the plans of the smallest group"
        assert result.unspent.startswith(
            f"the search spent {result.spent:.4g} of {evaluations} evaluations: "
        )


@pytest.mark.parametrize("method", ["hybrid", "surrogate", "nsga2", "random"])
def test_methods_that_need_no_groups_spend_every_evaluation(method):
    for evaluations in (1, 7, 51, 64):
        settings = replace(SPENDING.for_method(method), evaluations=evaluations)
        assert search(SMALL, settings, Archive()).spent == evaluations


@pytest.mark.parametrize("method", METHODS)
def test_a_space_of_one_plan_ends_every_search_with_a_reason(method):
    settings = replace(SPENDING.for_method(method), evaluations=64, s_min=0.0, s_max=0.0)
    result = search(SMALL, settings, Archive())
    if result.spent < 64:
        assert "64 evaluations: " in result.unspent
    if method in ("random", "nsga2"):
        assert result.spent == 1
        assert result.unspent == (
            "the search spent 1 of 64 evaluations: 20 rounds in a row proposed only plans that had been asked the same "
            "questions"
        )


def test_a_search_whose_minutes_are_over_says_so():
    class Slow(Counting):
        def evaluate(self, kept: Ints, minibatch: str, size: int) -> PlanScores:
            time.sleep(0.01)
            return super().evaluate(kept, minibatch, size)

    settings = replace(SPENDING, method="random", evaluations=500, minutes=0.001)
    result = search(Slow(), settings, Archive())
    assert result.spent < 500
    assert result.unspent.endswith("of 500 evaluations: the 0.001 minutes are over")


def _check_budget(settings: SearchSettings) -> SearchResult:
    problem, archive = Counting(), Archive()
    told: list[tuple[int, int]] = []
    result = search(problem, settings, archive, progress=lambda done, total: told.append((done, total)))
    assert problem.questions == sum(e.questions for e in archive) <= settings.evaluations * settings.minibatch
    assert all(done <= total == settings.evaluations for done, total in told)
    return result


def test_progress_is_told_before_the_first_plan_and_after_each() -> None:
    told: list[int] = []
    settings = replace(SPENDING, method="random", evaluations=30)
    search(Counting(), settings, Archive(), progress=lambda done, _: told.append(done))
    assert told[0] == 0
    assert sorted(set(told)) == list(range(31))
    assert told == sorted(told)


def test_what_plans_and_steps_score_is_told_to_whoever_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, set[str]]] = []
    monkeypatch.setattr(
        "hipp_prune.search.session.watch",
        lambda group, step, numbers: told.append((group, step, set(numbers))),
    )
    archive = Archive()
    result = search(Counting(), replace(SPENDING, method="random", evaluations=30), archive)
    plans = [step for group, step, _ in told if group == "plan"]
    assert plans == list(range(1, len(archive) + 1))
    assert all({"robustness", "utility", "seconds"} <= names for group, _, names in told if group == "plan")
    steps = [step for group, step, _ in told if group == "search"]
    assert steps == [step.evaluations for step in result.curve]


def test_a_search_too_small_for_anything_still_answers():
    result = search(SMALL, replace(QUICK, evaluations=1, warm_up=0.3, proposals=0.4), Archive())
    assert all(torch.isfinite(value).all() for value in result.answers.tensors().values())


def test_phases_of_a_hybrid_search(uninterrupted):
    result, archive = uninterrupted
    questions: Counter[str] = Counter()
    for evaluation in archive:
        questions[evaluation.source] += evaluation.questions
    assert questions == {"warm-up": 16 * 64, "surrogate": 16 * 64, "policy": 32 * 64}
    assert [step.phase for step in result.curve] == ["warm-up"] + ["surrogate"] * 2 + ["policy"] * 4
    assert [step.evaluations for step in result.curve] == [16, 24, 32, 40, 48, 56, 64]
    assert {e.questions for e in archive} == {16}
    for evaluation in archive.select("policy"):
        assert len(evaluation.z) == 5
        assert sum(evaluation.preference) == pytest.approx(1)
        assert evaluation.budget[0] <= evaluation.budget[1]
        assert np.isfinite(evaluation.log_prob)


def test_probes_of_a_minibatch_are_enough_to_be_compared(uninterrupted):
    _, archive = uninterrupted
    counts = Counter(e.minibatch for e in archive.select("warm-up", "surrogate"))
    assert set(counts.values()) == {16}


def test_plans_of_a_step_share_their_minibatch_and_nothing_else_does(uninterrupted):
    _, archive = uninterrupted
    counts = Counter(e.minibatch for e in archive.select("policy"))
    assert counts == {f"step-{i}": 32 for i in range(4)}


def test_plans_beyond_the_band_are_not_paid_for(monkeypatch):
    """With a gate of zero everywhere GRPO keeps its seats, pays nothing and stays finite."""

    def closed(_: StabilityBand, log_ratio: Floats, sparsity: Floats, *, widening: float = 0.0) -> Floats:
        return np.zeros_like(sparsity)

    monkeypatch.setattr(StabilityBand, "gate", closed)
    archive = Archive()
    search(Counting(), QUICK, archive)
    assert {evaluation.source for evaluation in archive} == {"warm-up"}, "proposals are screened too"
    problem = Counting()
    settings = replace(QUICK, warm_up=0.0, proposals=0.0)
    result = search(problem, settings, Archive())
    assert not problem.asked
    assert all(torch.isfinite(value).all() for value in result.answers.tensors().values())
    assert result.curve == ()


def test_realised_sparsities_stay_in_the_budget(uninterrupted):
    _, archive = uninterrupted
    slack = 1 / (4 * 352)
    assert all(QUICK.s_min - slack <= e.sparsity <= QUICK.s_max + slack for e in archive)


def test_random_plans_cover_the_budget_from_even_to_spiky():
    ratios = random_ratios(SMALL, QUICK, 400, np.random.default_rng(0))
    sparsity = ratios.mean(axis=1)
    assert sparsity.min() < 0.12
    assert sparsity.max() > 0.48
    assert (ratios <= SMALL.space.r_max).all()
    relative = ratios.std(axis=1) / sparsity
    assert np.quantile(relative, 0.1) < 0.3
    assert np.quantile(relative, 0.9) > 0.7


WORLD = Landscape(seed=0)


@pytest.fixture(scope="module")
def trained() -> SearchResult:
    return search(WORLD, SearchSettings(evaluations=200, seed=0), Archive())


def _query(result: SearchResult, preferences: Floats, budget: tuple[float, float]) -> Ints:
    return result.answers.kept(preferences, np.tile(budget, (len(preferences), 1)))


@pytest.mark.parametrize("sparsity", [0.2, 0.3, 0.45])
def test_the_policy_beats_uniform_pruning_at_equal_sparsity(trained, sparsity):
    preferences = np.array([[1.0, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [1 / 3] * 3])
    kept = _query(trained, preferences, (sparsity, sparsity))
    uniform = WORLD.space.kept(np.full((1, 12), sparsity))[0]
    for preference, plan in zip(preferences, kept, strict=True):
        ours, theirs = (WORLD.objectives(k) @ preference[:2] for k in (plan, uniform))
        assert theirs < 0
        assert ours > 0.9 * theirs, "at least a tenth of uniform pruning's damage is avoided"


def test_more_weight_on_compression_means_more_sparsity(trained):
    weights = np.linspace(0, 1, 6)
    preferences = np.stack([(1 - weights) / 2, (1 - weights) / 2, weights], axis=1)
    sparsity = WORLD.space.sparsity(_query(trained, preferences, (0.1, 0.5)))
    assert (np.diff(sparsity) > -0.02).all()
    assert sparsity[-1] > sparsity[0] + 0.15


def test_the_preferred_objective_is_the_better_one(trained):
    robust, useful = WORLD.objectives(_query(trained, np.eye(3)[:2], (0.35, 0.35)))
    assert robust[0] > useful[0]
    assert useful[1] > robust[1]


def test_evaluations_know_how_their_plans_were_compensated_and_modes_do_not_mix(
    uninterrupted: tuple[SearchResult, Archive],
) -> None:
    _, archive = uninterrupted
    assert {each.compensation for each in archive} == {"none"}
    ridge = replace(QUICK, compensation="ridge")
    with pytest.raises(RunError, match="expected a plan evaluated with ridge compensation, found none"):
        search(SMALL, ridge, archive)
    fresh = Archive()
    search(SMALL, replace(ridge, evaluations=16), fresh)
    assert {each.compensation for each in fresh} == {"ridge"}
