import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import BudgetError
from hipp_prune.plans.allocation import (
    check_alignment,
    fewest_neurons,
    kept_counts,
    paper_ratios,
    target_sparsity,
    waterfill_ratios,
)

_SPREADS = st.sampled_from([0.0, 1e-3, 1.0, 10.0, 800.0])


@st.composite
def problems(draw, *, spread=_SPREADS):
    """(log_allocation [P, U], sparsity [P], weights [U], r_max)."""
    units = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    r_max = draw(st.floats(0.05, 0.95))
    log_a = rng.uniform(-1, 1, size=(4, units)) * draw(spread)
    ends = np.array([0.0, r_max, *(rng.uniform(0, r_max, size=2))])
    return log_a, ends, np.exp(rng.uniform(-3, 3, size=units)), r_max


def _bisected(log_a, sparsity, weights, r_max, kappa):
    """Brute force: log τ by bisection, one plan at a time."""
    rows = []
    for row, s in zip(log_a, sparsity, strict=True):
        low, high = -1e5, 1e5
        for _ in range(200):
            middle = (low + high) / 2
            ratios = np.exp(np.minimum(middle + kappa * row, np.log(r_max)))
            low, high = (middle, high) if (weights * ratios).sum() < s * weights.sum() else (low, middle)
        rows.append(np.exp(np.minimum(high + kappa * row, np.log(r_max))))
    return np.array(rows)


@given(problems(), st.sampled_from([0.3, 1.0, 2.5]))
def test_waterfill_stays_in_the_box_and_meets_the_budget(problem, kappa):
    log_a, sparsity, weights, r_max = problem
    ratios = waterfill_ratios(log_a, sparsity, weights=weights, r_max=r_max, kappa=kappa)
    assert ratios.shape == log_a.shape
    assert (ratios >= 0).all()
    assert (ratios <= r_max).all()
    np.testing.assert_allclose(ratios @ weights / weights.sum(), sparsity, rtol=0, atol=1e-9)


@given(problems(), st.sampled_from([0.5, 1.0, 3.0]))
def test_waterfill_is_the_bisected_solution(problem, kappa):
    log_a, sparsity, weights, r_max = problem
    inside = (sparsity > 1e-6) & (sparsity < r_max)
    ratios = waterfill_ratios(log_a, sparsity, weights=weights, r_max=r_max, kappa=kappa)
    expected = _bisected(log_a, sparsity, weights, r_max, kappa)
    np.testing.assert_allclose(ratios[inside], expected[inside], rtol=1e-7, atol=1e-9)


@given(problems())
def test_waterfill_is_monotone_in_the_allocation(problem):
    log_a, sparsity, weights, r_max = problem
    ratios = waterfill_ratios(log_a, sparsity, weights=weights, r_max=r_max)
    for row, ratio in zip(log_a, ratios, strict=True):
        assert (np.diff(ratio[np.argsort(row, kind="stable")]) >= -1e-12).all()


@given(problems(spread=st.just(2.0)), st.floats(-700, 700))
def test_waterfill_ignores_the_scale_of_the_allocation(problem, shift):
    log_a, sparsity, weights, r_max = problem
    first = waterfill_ratios(log_a, sparsity, weights=weights, r_max=r_max)
    np.testing.assert_allclose(
        waterfill_ratios(log_a + shift, sparsity, weights=weights, r_max=r_max), first, atol=1e-9
    )


def test_waterfill_by_hand():
    # τ a = 0.9 > 0.6 for the first unit: it saturates, the other two share (3·0.4 − 0.6)/2 = 0.3 each
    ratios = waterfill_ratios(np.log([[2.0, 0.5, 0.5]]), np.array([0.4]), weights=np.ones(3), r_max=0.6)
    np.testing.assert_allclose(ratios, [[0.6, 0.3, 0.3]])


def test_waterfill_where_a_softmax_underflows():
    log_a = np.array([[0.0, -800.0, -800.0, -1600.0]])
    ratios = waterfill_ratios(log_a, np.array([0.4]), weights=np.ones(4), r_max=0.6)
    np.testing.assert_allclose(ratios, [[0.6, 0.5, 0.5, 0.0]], atol=1e-12)


def test_waterfill_at_both_ends():
    log_a = np.array([[3.0, -800.0, 0.0]])
    assert (waterfill_ratios(log_a, np.zeros(1), weights=np.ones(3), r_max=0.6) == 0).all()
    np.testing.assert_allclose(
        waterfill_ratios(log_a, np.array([0.6]), weights=np.ones(3), r_max=0.6), 0.6, rtol=1e-12
    )


@pytest.mark.parametrize("sparsity", [0.61, -0.01])
def test_waterfill_refuses_an_infeasible_budget(sparsity):
    with pytest.raises(BudgetError, match=rf"\[0, 0\.6\].*r_max = 0\.6.*got {sparsity:g}"):
        waterfill_ratios(np.zeros((2, 3)), np.array([0.3, sparsity]), weights=np.ones(3), r_max=0.6)


@given(problems(), st.sampled_from([0.5, 1.0, 3.0]))
def test_paper_clips_the_power_form(problem, kappa):
    log_a, sparsity, _, r_max = problem
    ratios = paper_ratios(log_a, sparsity, r_max=r_max, kappa=kappa)
    assert (ratios >= 0).all()
    assert (ratios <= r_max).all()
    a = np.exp(kappa * log_a - (kappa * log_a).max(axis=1, keepdims=True))
    literal = sparsity[:, None] * log_a.shape[1] * a / a.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ratios, np.minimum(literal, r_max), atol=1e-12)
    assert (ratios.mean(axis=1) <= sparsity + 1e-12).all()


def test_paper_sparsity_drifts_where_it_saturates():
    log_a = np.log(np.array([[0.9, 0.05, 0.05]]))
    assert paper_ratios(log_a, np.array([0.4]), r_max=0.6).mean() == pytest.approx((0.6 + 0.06 + 0.06) / 3)
    assert paper_ratios(np.zeros((1, 3)), np.array([0.4]), r_max=0.6).mean() == pytest.approx(0.4)


def test_larger_kappa_is_sharper():
    log_a = np.log(np.array([[0.5, 0.3, 0.2]]))
    spreads = [np.ptp(paper_ratios(log_a, np.array([0.2]), r_max=0.9, kappa=k)) for k in (0.5, 1, 2)]
    assert spreads == sorted(spreads)
    assert spreads[0] < spreads[2]


def test_target_sparsity():
    u = np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(target_sparsity(u, 0.1, 0.5), [0.1, 0.3, 0.5])
    np.testing.assert_allclose(target_sparsity(u, 0.2, 0.2), 0.2)


@st.composite
def whole(draw):
    """(ratios [P, U] in the box, widths, costs, r_max, align) with room in the box for every alignment."""
    units = draw(st.integers(1, 10))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    align = draw(st.sampled_from([1, 1, 4, 8]))
    widths = align * rng.integers(3, 30, size=units)
    r_max = draw(st.floats(0.4, 0.9))
    alike = draw(st.none() | st.integers(1, 10**6))
    costs = rng.integers(1, 500, size=units) if alike is None else np.full(units, alike)
    most = np.floor(r_max * widths / align) * align / widths
    return rng.uniform(0, 1, size=(3, units)) * most, widths, costs, r_max, align


@given(whole())
def test_kept_counts_stay_in_the_box_and_on_budget(problem):
    ratios, widths, costs, r_max, align = problem
    kept = kept_counts(ratios, widths=widths, costs=costs, r_max=r_max, align=align)
    assert (kept <= widths).all()
    assert (widths - kept <= r_max * widths + 1e-6).all()
    assert (kept % align == 0).all()
    missed = np.abs(((widths - kept) - ratios * widths) @ costs)
    if len(set(costs.tolist())) == 1:
        assert (missed <= 0.5 * align * costs[0] * (1 + 1e-9)).all()
    else:  # a unit at the edge of the box cannot make its step; never worse than the largest step
        assert (missed <= 0.5 * align * costs.max() * (1 + 1e-9)).all()


@given(whole())
def test_kept_counts_of_whole_neurons_are_those(problem):
    _, widths, costs, r_max, align = problem
    wanted = np.ceil((1 - r_max) * widths / align).astype(int) * align
    ratios = (1 - wanted / widths)[None]
    np.testing.assert_array_equal(
        kept_counts(ratios, widths=widths, costs=costs, r_max=r_max, align=align)[0], wanted
    )


def test_kept_counts_give_to_the_largest_remainder():
    ratios = np.array([[0.51, 0.55, 0.54]])  # kept 4.9, 4.5, 4.6: floors 4, 4, 4 and 14 in all
    kept = kept_counts(ratios, widths=np.full(3, 10), costs=np.ones(3, dtype=int), r_max=0.9)
    assert kept.tolist() == [[5, 4, 5]]


def test_kept_counts_when_the_largest_remainder_has_no_room():
    ratios = np.array([[0.25, 0.25]])  # r_max keeps at least 4 of 5; 7.5 in all
    kept = kept_counts(ratios, widths=np.array([5, 5]), costs=np.ones(2, dtype=int), r_max=0.3)
    assert kept.tolist() == [[4, 4]]


def test_kept_counts_with_rows_of_different_costs():
    widths, costs = np.array([20, 8]), np.array([16, 20])  # gate/up rows and down rows of one block
    ratios = np.array([[0.3, 0.4]])
    kept = kept_counts(ratios, widths=widths, costs=costs, r_max=0.6)
    removed = ((widths - kept) * costs).sum()
    assert abs(removed - (6 * 16 + 3.2 * 20)) <= 8


def test_paper_rounding_removes_the_floor_of_each_unit():
    ratios = np.array([[0.19, 0.2, 0.6]])
    kept = kept_counts(ratios, widths=np.full(3, 5), costs=np.ones(3, dtype=int), r_max=0.6, on_budget=False)
    assert kept.tolist() == [[5, 4, 2]]


def test_infeasible_alignment():
    with pytest.raises(
        BudgetError, match=r"--align 64 lies between the 40 neurons .* unit 1 .* give --align 10,"
    ):
        kept_counts(
            np.zeros((1, 2)), widths=np.array([128, 50]), costs=np.ones(2, dtype=int), r_max=0.2, align=64
        )


@given(
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    r_max=st.floats(0, 0.95),
    align=st.integers(2, 64),
)
def test_the_alignment_that_is_given_instead_is_one(widths: list[int], r_max: float, align: int) -> None:
    wide = np.array(widths)
    fewest = fewest_neurons(wide, r_max)
    try:
        check_alignment(fewest, wide, align)
    except BudgetError as refused:
        meant = int(str(refused).split("give --align ")[1].partition(",")[0])
        assert meant < align
        check_alignment(fewest, wide, meant)
    else:
        assert np.all(-(-fewest // align) * align <= wide)
