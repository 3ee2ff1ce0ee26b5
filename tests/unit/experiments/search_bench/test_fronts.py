"""Fronts and regrets against values worked out by hand."""

import numpy as np
import pytest

from hipp_prune.experiments.search_bench.fronts import (
    best_values,
    hypervolume,
    igd_plus,
    lattice,
    paired_interval,
    query_regret,
    union_front,
)

ZERO, ONE = np.zeros(3), np.ones(3)


def test_the_lattice_has_66_distinct_preferences_with_the_vertices_among_them() -> None:
    points = lattice()
    assert points.shape == (66, 3)
    assert len(np.unique(points, axis=0)) == 66
    np.testing.assert_allclose(points.sum(axis=1), 1)
    assert (points >= 0).all()
    for vertex in np.eye(3):
        assert (points == vertex).all(axis=1).any()


def test_one_point_dominates_the_box_below_it() -> None:
    assert hypervolume(np.array([[0.5, 0.5, 0.5]]), ZERO, ONE) == pytest.approx(0.125)


def test_two_points_dominate_the_union_of_their_boxes() -> None:
    points = np.array([[1.0, 0.5, 1.0], [0.5, 1.0, 1.0]])
    assert hypervolume(points, ZERO, ONE) == pytest.approx(0.75)


def test_a_dominated_point_adds_nothing() -> None:
    points = np.array([[0.5, 0.5, 0.5], [0.4, 0.5, 0.1]])
    assert hypervolume(points, ZERO, ONE) == pytest.approx(0.125)


def test_bounds_rescale_to_a_unit_volume() -> None:
    low, high = np.array([0.5, 0.4, 0.1]), np.array([0.9, 0.8, 0.5])
    assert hypervolume((low + high)[None] / 2, low, high) == pytest.approx(0.125)
    assert hypervolume(high[None], low, high) == pytest.approx(1.0)


def test_what_lies_beyond_the_upper_bound_counts_as_on_it() -> None:
    assert hypervolume(np.array([[2.0, 0.5, 1.0]]), ZERO, ONE) == pytest.approx(0.5)


def test_a_point_at_the_lower_bound_in_one_respect_dominates_nothing() -> None:
    points = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 1.0]])
    assert hypervolume(points, ZERO, ONE) == 0.0


def test_bounds_without_room_between_them_have_no_volume() -> None:
    assert hypervolume(ONE[None], ZERO, np.array([1.0, 0.0, 1.0])) == 0.0


def test_regret_is_the_mean_shortfall_of_the_answers() -> None:
    plans = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]])
    preferences = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    best = best_values(plans, preferences)
    np.testing.assert_allclose(best, [1.0, 0.75])
    assert query_regret(plans, preferences, best) == pytest.approx(0.0)
    assert query_regret(plans[[1, 1]], preferences, best) == pytest.approx(0.5)


def test_the_interval_of_equal_differences_is_that_difference() -> None:
    assert paired_interval([0.25, 0.25, 0.25]) == pytest.approx((0.25, 0.25))


def test_the_interval_holds_the_mean_and_nothing_beyond_the_extremes() -> None:
    low, high = paired_interval([-1.0, 0.0, 1.0, 2.0]) or (np.nan, np.nan)
    assert -1.0 <= low < 0.5 < high <= 2.0


def test_one_pair_has_no_interval() -> None:
    assert paired_interval([0.3]) is None


def test_the_union_front_keeps_what_no_other_dominates() -> None:
    points = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.5], [1.0, 0.0]])
    assert sorted(union_front(points).tolist()) == [[0.0, 1.0], [1.0, 0.0]]


def test_igd_plus_counts_only_what_is_worse_and_in_units_of_the_box() -> None:
    front = np.array([[1.0, 0.0], [0.0, 2.0]])
    low, high = np.zeros(2), np.array([1.0, 2.0])
    assert igd_plus(front, front, low, high) == 0
    assert igd_plus(np.array([[0.7, 1.0]]), front, low, high) == pytest.approx((0.3 + 0.5) / 2)
    assert igd_plus(np.array([[5.0, 5.0]]), front, low, high) == 0
