"""The Pareto front's definition, and the levelling of minibatches."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hipp_prune.plans.arrays import Floats
from hipp_prune.report.cloud import build_cloud, level_minibatches, pareto_front
from tests.unit.report.synthetic import LEVELS, make_archive, space

clouds = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.integers(-3, 3).map(float),
)


def dominates(winner: Floats, loser: Floats) -> bool:
    return bool((winner >= loser).all() and (winner > loser).any())


@given(clouds)
def test_front_is_exactly_what_nothing_dominates(points: Floats) -> None:
    front = pareto_front(points)
    for point, on_front in zip(points, front, strict=True):
        assert on_front == (not any(dominates(other, point) for other in points))


@given(clouds)
def test_the_front_alone_dominates_everything_else(points: Floats) -> None:
    front = pareto_front(points)
    assert front.any()
    for point in points[~front]:
        assert any(dominates(winner, point) for winner in points[front])


@given(clouds, st.randoms(use_true_random=False))
def test_front_depends_neither_on_order_nor_on_monotone_scales(points: Floats, random) -> None:
    order = np.array(random.sample(range(len(points)), len(points)))
    assert (pareto_front(points[order]) == pareto_front(points)[order]).all()
    assert (pareto_front(np.exp(points)) == pareto_front(points)).all()


def test_front_of_a_known_cloud() -> None:
    points = np.array(
        [[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [1.0, 2.0], [3.0, 1.0], [np.nan, 9.0], [0.0, np.inf]]
    )
    assert pareto_front(points).tolist() == [True, True, True, False, True, False, True]
    assert pareto_front(np.zeros((0, 3))).tolist() == []


def test_levelling_takes_out_the_minibatch_and_leaves_the_plan() -> None:
    archive = make_archive()
    truth = np.array([(row.robustness, row.utility) for row in archive]) - [
        LEVELS[row.minibatch] for row in archive
    ]
    levelled = level_minibatches(archive, space())
    raw = np.array([(row.robustness, row.utility) for row in archive])

    def error(values: Floats) -> float:
        return float(np.abs((values - values.mean(0)) - (truth - truth.mean(0))).max())

    assert error(levelled[:, :2]) < 0.02 < 0.2 < error(raw)
    assert (levelled[:, 2] == [row.sparsity for row in archive]).all()


def test_levelling_keeps_that_later_minibatches_are_asked_of_better_plans() -> None:
    """The gentlest half of the plans asked on a minibatch of their own: subtracting means would erase the gap."""
    archive = sorted(make_archive(), key=lambda row: row.sparsity)
    half = len(archive) // 2
    archive = [
        replace(
            row,
            minibatch="early" if index >= half else "late",
            robustness=row.robustness - LEVELS[row.minibatch][0],
        )
        for index, row in enumerate(archive)
    ]
    raw = np.array([row.robustness for row in archive])
    levelled = level_minibatches(archive, space())[:, 0]
    assert levelled[:half].mean() - levelled[half:].mean() == pytest.approx(
        raw[:half].mean() - raw[half:].mean(), rel=0.2
    )


def test_a_plan_is_one_point_however_often_it_was_evaluated() -> None:
    row = make_archive(1)[0]
    again = replace(row, minibatch="step-9", robustness=row.robustness + 1)
    cloud = build_cloud([row, again], space())
    assert cloud.points[:, 0] == pytest.approx([row.robustness + 0.5])
    assert (cloud.minibatches, cloud.levelled, cloud.sources) == (2, False, ("warm-up",))


@pytest.mark.parametrize("other", [None, space(blocks=3)])
def test_without_a_fitting_space_plans_are_shown_as_they_are(other) -> None:
    archive = make_archive()
    cloud = build_cloud(archive, other)
    assert not cloud.levelled
    assert np.allclose(cloud.points[:, 0], [row.robustness for row in archive])


def test_failed_evaluations_are_left_out() -> None:
    archive = make_archive()
    failed = replace(archive[0], robustness=float("nan"))
    assert len(build_cloud([failed, *archive[1:]], space()).points) == len(archive) - 1
    assert build_cloud([failed], space()).points.shape == (0, 3)
