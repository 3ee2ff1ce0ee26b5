import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import PreferenceError
from hipp_prune.plans.preference import ANCHORS, Preference, sample_preferences

weights = st.lists(st.floats(0, 1e12), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-12)


def test_parse_normalises():
    np.testing.assert_allclose(Preference.parse("2,1,1").vector, [0.5, 0.25, 0.25])
    np.testing.assert_allclose(Preference.parse(" 0, 0 ,7e3").vector, [0, 0, 1])
    assert str(Preference.parse("2,1,1")) == "0.5,0.25,0.25"


@given(weights, st.floats(1e-6, 1e6))
def test_a_point_of_the_simplex_whatever_the_scale(values, factor):
    vector = Preference.of(values).vector
    assert (vector >= 0).all()
    assert vector.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(
        Preference.of([v * factor for v in values]).vector, vector, rtol=1e-9, atol=1e-300
    )


@given(weights)
def test_normalising_again_changes_no_bit(values):
    once = Preference.of(values)
    assert Preference.of(once.vector) == once


@pytest.mark.parametrize("text", ["", "1", "1,1", "1,1,1,1", "a,b,c", "1;1;1", "1,,1"])
def test_parse_wants_three_numbers(text):
    with pytest.raises(PreferenceError, match="three numbers R,U,C") as caught:
        Preference.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["-1,1,1", "nan,1,1", "inf,1,1", "1,1,-0.001"])
def test_weights_are_finite_and_not_negative(text):
    with pytest.raises(PreferenceError, match="finite numbers ≥ 0"):
        Preference.parse(text)


def test_sum_that_overflows():
    with pytest.raises(PreferenceError, match="finite"):
        Preference.parse("1e308,1e308,1e308")


def test_all_zero():
    with pytest.raises(PreferenceError, match="at least one weight above zero"):
        Preference.parse("0,0,0")


def test_anchors_are_the_simplex_vertices_midpoints_and_centre():
    expected = {(2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 0), (1, 0, 1), (0, 1, 1)}
    assert {tuple(row) for row in (2 * ANCHORS[:6]).tolist()} == expected
    np.testing.assert_allclose(ANCHORS[6], 1 / 3)


@given(st.floats(0, 1), st.floats(0.05, 20), st.integers(0, 2**32))
def test_samples_lie_on_the_simplex(fraction, concentration, seed):
    drawn = sample_preferences(
        np.random.default_rng(seed), 50, anchor_fraction=fraction, concentration=concentration
    )
    assert drawn.shape == (50, 3)
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.sum(axis=1), 1, atol=1e-12)


def _is_anchor(drawn: np.ndarray) -> np.ndarray:
    return (np.abs(drawn[:, None] - ANCHORS).max(axis=2) < 1e-12).any(axis=1)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
def test_share_of_anchors_with_table_4_at_its_ends(fraction):
    drawn = sample_preferences(np.random.default_rng(0), 4000, anchor_fraction=fraction)
    assert _is_anchor(drawn).mean() == pytest.approx(fraction, abs=0.03 if 0 < fraction < 1 else 0)


def test_every_anchor_is_drawn_equally_often():
    drawn = sample_preferences(np.random.default_rng(0), 7000, anchor_fraction=1.0)
    _, counts = np.unique(drawn.round(6), axis=0, return_counts=True)
    assert len(counts) == 7
    assert (np.abs(counts - 1000) < 150).all()


def test_dirichlet_concentration():
    rng = np.random.default_rng(0)
    even = sample_preferences(rng, 500, anchor_fraction=0.0, concentration=200.0)
    spiky = sample_preferences(rng, 500, anchor_fraction=0.0, concentration=0.1)
    assert even.max(axis=1).mean() < 0.42 < 0.8 < spiky.max(axis=1).mean()


def test_the_share_of_robustness_leaves_compression_out() -> None:
    shares = [Preference.parse(text).robustness_share for text in ("1,0,0", "0,1,3", "1,3,4", "0,0,1")]
    assert shares == pytest.approx([1.0, 0.0, 0.25, 0.5])
