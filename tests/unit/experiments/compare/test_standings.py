"""Rows and differences of cells whose answers are known."""

import numpy as np
import pytest

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.standings import (
    MEASURES,
    Row,
    challenged,
    champion_rows,
    difference,
    make_rows,
    runner_up,
)
from hipp_prune.plans.modes import Compensation
from tests.unit.experiments.compare.made import answers, cell_result

PICTURES = 40


def noisy(method: str, seed: int, level: float, preference: str | None = None) -> CellResult:
    """Answers whose margins are normal around ``level``."""
    rng = np.random.default_rng([seed, 5])
    yes, no, choice = (rng.normal(level, size=PICTURES).tolist() for _ in range(3))
    return cell_result(method, seed=seed, after=answers(yes, no, choice), preference=preference)


def exact(method: str, seed: int, right: int, preference: str | None = None) -> CellResult:
    """Ten multiple-choice questions of which so many are answered right, and all of POPE's."""
    margins = [1.0] * right + [-1.0] * (10 - right)
    return cell_result(method, seed=seed, after=answers([1.0], [1.0], margins), preference=preference)


def only(results: list[CellResult]) -> Row:
    (row,) = make_rows(results, "after")
    return row


def test_a_search_counts_by_its_mean_over_preferences_within_a_seed() -> None:
    row = only(
        [
            exact("hybrid", 0, 6, "1,0,0"),
            exact("hybrid", 0, 8, "0,1,0"),
            exact("hybrid", 1, 4, "1,0,0"),
            exact("hybrid", 1, 10, "0,1,0"),
        ]
    )
    assert row.over_seeds("utility") == pytest.approx([0.7, 0.7])
    assert row.over_preferences("utility") == pytest.approx([0.9, 0.5])  # 0,1,0 before 1,0,0
    assert row.over_seeds("mean") == pytest.approx([0.85, 0.85])


def test_what_is_asked_weighs_the_accuracies_as_each_preference_does() -> None:
    """A search that gives up multiple choice where it weighs nothing loses by the mean and not by what is asked."""
    obedient = [exact("hybrid", 0, 0, "1,0,0"), exact("hybrid", 0, 10, "0,1,0")]
    indifferent = [exact("grpo", 0, 8, "1,0,0"), exact("grpo", 0, 8, "0,1,0")]
    baseline = [exact("flap", 0, 8)]
    rows = {row.contender.method: row for row in make_rows([*obedient, *indifferent, *baseline], "after")}
    assert rows["hybrid"].over_seeds("mean") == pytest.approx([0.75])
    assert rows["hybrid"].over_seeds("asked") == pytest.approx([1.0])
    assert rows["grpo"].over_seeds("asked") == pytest.approx([0.9])
    # a baseline answers both preferences with one plan
    assert rows["flap"].over_seeds("asked") == pytest.approx([0.9])
    asked, mean = (runner_up(list(rows.values()), rows["grpo"], measure) for measure in ("asked", "mean"))
    assert asked is rows["hybrid"]
    assert mean is rows["flap"]


def test_a_contender_without_preferences_is_asked_what_the_others_are() -> None:
    rows = make_rows([exact("hybrid", 0, 0, "1,0,1"), exact("flap", 0, 0)], "after")
    assert [row.over_seeds("asked")[0] for row in rows] == pytest.approx([1.0, 1.0])
    alone = only([exact("flap", 0, 0)])
    assert alone.over_seeds("asked") == pytest.approx([0.5])


def test_rows_stand_by_budget_and_method_with_the_dense_model_in_every_budget() -> None:
    made = answers([1.0], [1.0], [1.0])
    results = [
        cell_result("hybrid", budget=0.2, preference="1,0,0", after=made),
        cell_result("flap", budget=0.5, after=made),
        cell_result("flap", budget=0.2, after=made, variant="more"),
        cell_result("flap", budget=0.2, after=made),
        cell_result("dense", budget=None, after=made),
    ]
    assert [(row.budget, row.contender.label) for row in make_rows(results, "before")] == [
        (0.2, "dense"),
        (0.2, "flap"),
        (0.2, "flap · more"),
        (0.2, "HiPP-Prune"),
        (0.5, "dense"),
        (0.5, "flap"),
    ]


def test_a_difference_is_that_of_the_scores_and_none_to_itself() -> None:
    ours = only([noisy("hybrid", seed, 1.0, "1,0,0") for seed in range(4)])
    theirs = only([noisy("flap", seed, 0.3) for seed in range(4)])
    found = difference(ours, theirs)
    assert found is not None
    for measure, gain, (low, high) in zip(MEASURES, found.gain, found.intervals, strict=True):
        assert gain == pytest.approx(np.mean(ours.over_seeds(measure) - theirs.over_seeds(measure)))
        assert low < gain < high
    assert found.word() == "ahead of"
    same = difference(theirs, theirs)
    assert same is not None
    assert same.gain == (0.0,) * len(MEASURES)
    assert same.word() == "tied with"


def test_an_interval_covers_what_pictures_and_seeds_vary_by() -> None:
    one = difference(only([noisy("hybrid", 0, 0.5, "1,0,0")]), only([exact_like(0)]))
    many = difference(
        only([noisy("hybrid", seed, 0.5, "1,0,0") for seed in range(8)]),
        only([exact_like(seed) for seed in range(8)]),
    )
    assert one is not None
    assert many is not None
    # the pictures are the same for all seeds here, so more seeds average the seeds' own noise away only
    assert width(many.intervals[2]) < width(one.intervals[2])
    assert width(many.intervals[2]) > width(one.intervals[2]) / np.sqrt(8) * 0.8


def exact_like(seed: int) -> CellResult:
    """All wrong, asked the same questions as ``noisy``."""
    wrong = [-1.0] * PICTURES
    return cell_result("flap", seed=seed, after=answers(wrong, wrong, wrong))


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def test_seeds_that_differ_widen_the_interval_by_their_unbiased_spread() -> None:
    """Gains of 1 and 0, whatever the pictures: two seeds drawn of two, √2 as far from their mean as they are."""
    ours = only([exact("hybrid", 0, 10, "1,0,0"), exact("hybrid", 1, 0, "1,0,0")])
    found = difference(ours, only([exact("flap", seed, 0) for seed in (0, 1)]))
    assert found is not None
    assert found.gain[1] == 0.5
    assert found.intervals[1] == pytest.approx((0.5 - np.sqrt(0.5), 0.5 + np.sqrt(0.5)))


def test_only_seeds_that_both_have_are_compared() -> None:
    ours = only([exact("hybrid", seed, right, "1,0,0") for seed, right in ((0, 9), (1, 7), (2, 0))])
    theirs = only([exact("flap", seed, 6) for seed in (0, 1, 5)])
    found = difference(ours, theirs)
    assert found is not None
    assert found.seeds == 2
    assert found.gain[1] == pytest.approx(0.2)
    assert difference(ours, only([exact("flap", 9, 6)])) is None


def test_the_runner_up_is_the_best_other_that_prunes() -> None:
    results = [
        cell_result("dense", budget=None, after=answers([1.0], [1.0], [1.0])),
        exact("flap", 0, 5),
        exact("wanda-rows", 0, 7),
        exact("hybrid", 0, 9, "0,1,0"),
    ]
    rows = make_rows(results, "after")
    (ours,) = champion_rows(rows)
    rival = runner_up(rows, ours)
    assert rival is not None
    assert rival.contender.method == "wanda-rows"
    assert champion_rows(rows, "owl") == []


def compensated(
    method: str, right: int, mode: Compensation | None, preference: str | None = None
) -> CellResult:
    margins = [1.0] * right + [-1.0] * (10 - right)
    after = answers([1.0], [1.0], margins)
    return cell_result(method, after=after, preference=preference, compensation=mode)


def test_each_way_to_compensate_has_a_row_and_is_held_against_the_like() -> None:
    rows = make_rows(
        [
            compensated("hybrid", 9, "ridge", "0,1,0"),
            compensated("hybrid", 6, None, "0,1,0"),
            compensated("owl", 8, "ridge"),
            compensated("owl", 3, None),
            compensated("flap", 5, None),
            compensated("flap", 9, "none"),
        ],
        "after",
    )
    assert [(row.contender.method, row.contender.mode) for row in rows] == [
        ("flap", "none"), ("flap", "bias"), ("owl", "none"), ("owl", "ridge"),
        ("hybrid", "none"), ("hybrid", "ridge"),
    ]  # fmt: skip
    plain, fitted = champion_rows(rows)
    rivals = [runner_up(rows, ours) for ours in (plain, fitted)]
    assert [rival.contender.label for rival in rivals if rival is not None] == ["flap · none", "owl · ridge"]
    held = {row.contender.label: challenged([plain, fitted], row) for row in rows}
    assert held["owl · ridge"] is fitted
    assert held["owl"] is held["flap"] is held["flap · none"] is plain
    assert challenged([], rows[0]) is None
