import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hipp_prune.objectives.returns import (
    AnswerScores,
    RunningNormaliser,
    answer_returns,
    compression_return,
    log_margins,
)
from hipp_prune.questions.yes_no import class_balanced_mean

finite = st.floats(-30, 30)


def _scores(answers: list[list[float]], rest: list[float] | None = None) -> AnswerScores:
    table = np.array(answers)
    return AnswerScores(answers=table, rest=np.zeros(len(table)) if rest is None else np.array(rest))


def test_log_margins_by_hand():
    scores = _scores([[2.0, 0.5, -np.inf], [2.0, 0.5, -np.inf], [0.0, np.log(3), np.log(2)]])
    margins = log_margins(scores, np.array([0, 1, 1]))
    np.testing.assert_allclose(margins, [1.5, -1.5, np.log(3) - np.log(1 + 2)], atol=1e-12)


def test_predictions():
    assert _scores([[2.0, 0.5, -np.inf], [0.0, 1.0, 3.0]]).predictions().tolist() == [0, 2]


@given(arrays(np.float64, (6, 3), elements=finite), arrays(np.int64, 6, elements=st.integers(0, 2)))
def test_log_sigmoid_is_the_log_probability_among_the_allowed(answers, gold):
    returns = answer_returns(_scores(answers.tolist()), gold, kind="log-sigmoid")
    rows = np.arange(6)
    expected = answers[rows, gold] - np.logaddexp.reduce(answers, axis=1)
    np.testing.assert_allclose(returns, expected, atol=1e-9)
    assert (returns <= 0).all()


def test_kinds_by_hand():
    scores, gold = _scores([[2.0, 0.5]], rest=[1.0]), np.array([0])
    assert answer_returns(scores, gold, kind="margin") == pytest.approx([1.5])
    assert answer_returns(scores, gold, kind="tanh", tau=3.0) == pytest.approx([np.tanh(0.5)])
    assert answer_returns(scores, gold, kind="log-sigmoid") == pytest.approx([-np.log1p(np.exp(-1.5))])
    literal = np.log(np.exp(2.0) + np.exp(0.5)) - 1.0
    assert answer_returns(scores, gold, kind="paper-literal") == pytest.approx([literal])


def test_the_literal_reading_does_not_see_which_answer_is_right():
    scores = _scores([[2.0, 0.5], [2.0, 0.5]], rest=[1.0, 1.0])
    right, wrong = answer_returns(scores, np.array([0, 1]), kind="paper-literal")
    assert right == wrong


@given(arrays(np.float64, 4, elements=st.floats(-4, 4)), st.floats(0.5, 10))
def test_yes_collapse_is_seen_by_log_sigmoid_but_not_by_a_linear_margin(margins, shift):
    """Adding a constant to every Yes logit of a model equally good at both classes."""
    gold = np.repeat([0, 1], len(margins))
    answers = np.stack([np.concatenate([margins, -margins]), np.zeros(2 * len(margins))], axis=1)

    def mean(table: np.ndarray, kind: str) -> float:
        return class_balanced_mean(answer_returns(_scores(table.tolist()), gold, kind=kind), gold)

    collapsed = answers + np.array([shift, 0.0])
    assert mean(collapsed, "margin") == pytest.approx(mean(answers, "margin"), abs=1e-9)
    assert mean(collapsed, "log-sigmoid") < mean(answers, "log-sigmoid")


def test_yes_collapse_by_hand():
    gold = np.array([0, 1])
    honest, collapsed = np.array([[2.0, 0.0], [-2.0, 0.0]]), np.array([[5.0, 0.0], [1.0, 0.0]])
    means = {
        kind: [
            class_balanced_mean(answer_returns(_scores(t.tolist()), gold, kind=kind), gold)
            for t in (honest, collapsed)
        ]
        for kind in ("margin", "log-sigmoid", "tanh")
    }
    assert means["margin"] == [2.0, 2.0]
    assert means["log-sigmoid"][1] < means["log-sigmoid"][0] - 0.5
    assert means["tanh"][1] < means["tanh"][0] - 0.2


def test_class_balanced_mean():
    values, classes = np.array([1.0, 1.0, 1.0, -1.0]), np.array([0, 0, 0, 1])
    assert class_balanced_mean(values, classes) == 0.0
    assert class_balanced_mean(values[:3], classes[:3]) == 1.0
    assert class_balanced_mean(values[:0], classes[:0]) == 0.0


def test_compression_return():
    sparsity = np.array([0.0, 0.1, 0.2, 0.3, 0.9])
    np.testing.assert_allclose(compression_return(sparsity, s_lo=0.1, s_hi=0.3), [0, 0, 0.5, 1, 1])
    assert compression_return(sparsity, s_lo=0.2, s_hi=0.2).tolist() == [0.0] * 5


chunks = st.lists(
    st.integers(0, 6).flatmap(lambda n: arrays(np.float64, (n, 3), elements=st.floats(-1e3, 1e3))),
    min_size=1,
    max_size=6,
)


@given(chunks)
def test_normaliser_does_not_depend_on_chunking(parts):
    together, apart = RunningNormaliser(), RunningNormaliser()
    rows = np.concatenate(parts)
    together.update(rows)
    for part in parts:
        apart.update(part)
    assert apart.count == together.count == len(rows)
    np.testing.assert_allclose(apart.mean, together.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(apart.std, together.std, rtol=1e-9, atol=1e-9)


@given(arrays(np.float64, (7, 3), elements=st.floats(-1e3, 1e3)))
def test_normaliser_has_the_moments_of_numpy(rows):
    normaliser = RunningNormaliser()
    normaliser.update(rows[:2])
    normaliser.update(rows[2:])
    np.testing.assert_allclose(normaliser.mean, rows.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(normaliser.std, rows.std(axis=0, ddof=1), rtol=1e-9, atol=1e-9)


def test_normalised_returns():
    rows = np.random.default_rng(0).normal([1, -5, 0.2], [1, 10, 0.1], size=(200, 3))
    normaliser = RunningNormaliser()
    normaliser.update(rows)
    scaled = normaliser(rows)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0, ddof=1), 1, atol=1e-4)
    np.testing.assert_allclose(scaled, (rows - rows.mean(0)) / rows.std(0, ddof=1), atol=1e-3)


def test_normaliser_clips():
    normaliser = RunningNormaliser(clip=2.0)
    normaliser.update(np.array([[0.0, 0, 0], [1.0, 1, 1]]))
    np.testing.assert_allclose(normaliser(np.array([[1e6, -1e6, 0.5]])), [[2, -2, 0]])


def test_constant_objective_maps_to_zero():
    normaliser = RunningNormaliser()
    assert normaliser(np.ones((2, 3))).tolist() == [[0.0] * 3] * 2
    normaliser.update(np.array([[1.0, 2.0, 0.3], [2.0, 2.0, 0.3]]))
    scaled = normaliser(np.array([[2.0, 9.0, 0.4]]))
    assert scaled[0, 0] == pytest.approx(0.5 / np.sqrt(0.5), rel=1e-4)
    assert scaled[0, 1:].tolist() == [0.0, 0.0]


def test_rows_that_were_not_evaluated_are_left_out():
    rows = np.random.default_rng(1).normal(size=(5, 3))
    holes = np.concatenate([rows[:3], np.full((2, 3), np.nan), rows[3:], [[np.inf, 0, 0]]])
    clean, holed = RunningNormaliser(), RunningNormaliser()
    clean.update(rows)
    holed.update(holes)
    holed.update(np.full((4, 3), np.nan))
    assert holed.count == 5
    np.testing.assert_allclose(holed.mean, clean.mean)
    np.testing.assert_allclose(holed.std, clean.std)
    assert np.isnan(holed(holes)[3:5]).all()
