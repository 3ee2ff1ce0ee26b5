import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hipp_prune.evaluation import sequences
from hipp_prune.evaluation.sequences import (
    agrees,
    divergence,
    expected_along,
    is_greedy,
    log_probability,
    targets_of,
)
from hipp_prune.objectives.returns import AnswerScores, answer_returns, log_complement, log_margins

logits = arrays(np.float32, (3, 9), elements=st.floats(-20, 20, width=32))


@given(logits)
def test_a_model_does_not_differ_from_itself(values):
    along = torch.from_numpy(values)
    dense = expected_along(along)
    assert divergence(along, dense) == 0
    assert divergence(along + 3, dense) == pytest.approx(0, abs=1e-5)
    assert agrees(along, dense)


@given(logits, logits, st.integers(1, 9))
def test_the_divergence_is_never_negative_and_never_more_than_over_the_whole_vocabulary(ours, dense, kept):
    model, teacher = torch.from_numpy(ours), torch.from_numpy(dense)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequences, "LIKELIEST", kept)
        found = divergence(model, expected_along(teacher))
    log_p, log_q = teacher.double().log_softmax(1), model.double().log_softmax(1)
    whole = float((log_p.exp() * (log_p - log_q)).sum(1).mean())
    assert 0 <= found <= whole + 1e-4
    if kept == 9:
        assert found == pytest.approx(whole, abs=1e-4)


@given(logits, st.lists(st.integers(0, 8), min_size=1, max_size=2), st.sets(st.integers(0, 8), min_size=1))
def test_the_log_probability_is_the_product_over_tokens_and_the_end(values, tokens, ends):
    along = torch.from_numpy(values)
    probabilities = along.double().softmax(1)
    expected = sum(float(probabilities[place, token].log()) for place, token in enumerate(tokens))
    cut = targets_of(tokens, list(ends), cut=True)
    assert log_probability(along, cut) == pytest.approx(expected, abs=1e-4)
    whole = expected + float(probabilities[len(tokens), sorted(ends)].sum().log())
    ending = targets_of(tokens, list(ends), cut=False)
    assert log_probability(along, ending) == pytest.approx(whole, abs=1e-4)
    best = along.argmax(1).tolist()
    assert is_greedy(along, cut) == (best[: len(tokens)] == tokens)
    assert is_greedy(along, ending) == (best[: len(tokens)] == tokens and best[len(tokens)] in ends)


def test_a_model_without_end_tokens_is_not_asked_for_one():
    assert targets_of((4, 5), (), cut=False).tolist() == [[4], [5]]
    assert targets_of((4,), (7, 8), cut=False).tolist() == [[4, -1], [7, 8]]


@given(arrays(np.float64, 5, elements=st.floats(-800, 0)))
def test_the_return_of_an_open_question_is_its_log_probability(log_p):
    scores = AnswerScores(
        answers=np.stack([log_p, log_complement(log_p)], axis=1),
        rest=np.zeros(5),
        greedy=np.array([0, 1, 1, 0, -1]),
    )
    gold = np.zeros(5, dtype=np.int64)
    np.testing.assert_allclose(answer_returns(scores, gold, kind="log-sigmoid"), log_p, atol=2e-9)
    assert np.isfinite(log_margins(scores, gold)).all()
    assert answer_returns(scores, gold, kind="paper-literal") == pytest.approx([0] * 5, abs=2e-9)
    assert scores.predictions()[:4].tolist() == [0, 1, 1, 0]
    assert scores.predictions()[4] == int(log_p[4] < np.log(0.5))


@given(st.floats(-700, -1e-9))
def test_the_complement_is_one_minus_the_probability(log_p):
    assert np.exp(log_complement(np.array([log_p]))) + np.exp(log_p) == pytest.approx(1)
