from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.evaluation.evaluator import _PASS, Evaluator, gather_answers, group_by_length, plan_scores
from hipp_prune.evaluation.features import encode_image_files
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.objectives.returns import AnswerScores, PlanScores
from hipp_prune.questions.question import Question
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.questions.made import pope, scienceqa


def test_score_answers_by_hand():
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, -1.0, -2.0, -3.0]])
    tokens = torch.tensor([[[1, 3], [2, -1], [-1, -1]], [[3, -1], [1, 2], [0, -1]]])
    allowed, rest = gather_answers(logits, tokens)
    e = np.exp
    expected = [[np.log(e(2) + e(4)), 3.0, -np.inf], [-3.0, np.log(e(-1) + e(-2)), 0.0]]
    np.testing.assert_allclose(allowed.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(rest.numpy(), [1.0, -np.inf], atol=1e-6)


def test_padding_does_not_take_token_zero_from_the_rest():
    logits = torch.tensor([[7.0, 1.0, 2.0]])
    _, rest = gather_answers(logits, torch.tensor([[[1, -1], [2, -1]]]))
    assert rest.tolist() == [7.0]
    _, rest = gather_answers(logits, torch.tensor([[[0, -1], [2, -1]]]))
    assert rest.tolist() == [1.0]


def test_returns_and_accuracies_balance_classes_and_average_utility():
    questions = [pope(0, 0), pope(1, 0), pope(2, 0), pope(3, 1), scienceqa(0, 0), scienceqa(1, 2)]
    margins = [1.0, 2.0, -3.0, -4.0, 0.5, 1.5]
    answers = np.full((6, 3), -np.inf)
    for row, (question, margin) in enumerate(zip(questions, margins, strict=True)):
        answers[row, question.gold] = margin
        answers[row, (question.gold + 1) % 2] = 0.0
    scores = AnswerScores(answers=answers, rest=np.zeros(6))
    linear = plan_scores(scores, questions, kind="margin")
    assert (linear.robustness, linear.utility) == pytest.approx(((0.0 - 4.0) / 2, 1.0))
    assert linear.accuracies == pytest.approx({"pope": (2 / 3 + 0) / 2, "scienceqa": 1.0})
    bounded = plan_scores(scores, questions, kind="tanh", tau=1.0)
    assert bounded.utility == pytest.approx((np.tanh(0.5) + np.tanh(1.5)) / 2)


def test_a_role_without_questions_scores_zero():
    scores = AnswerScores(answers=np.array([[1.0, 0.0]]), rest=np.zeros(1))
    assert plan_scores(scores, [pope(0, 0)], kind="margin") == PlanScores(
        robustness=1.0, utility=0.0, accuracies={"pope": 1.0}
    )
    assert plan_scores(scores, [scienceqa(0, 0, "AB")], kind="margin") == PlanScores(
        robustness=0.0, utility=1.0, accuracies={"scienceqa": 1.0}
    )


def test_a_role_is_the_mean_over_its_benchmarks_by_their_weights():
    other = replace(pope(1, 0), benchmark="repope", id="repope/1", weight=3.0)
    scores = AnswerScores(answers=np.array([[1.0, 0.0], [5.0, 0.0]]), rest=np.zeros(2))
    assert plan_scores(scores, [pope(0, 0), other], kind="margin").robustness == pytest.approx(
        (1 + 3 * 5) / 4
    )
    alike = [pope(0, 0), replace(other, weight=1.0)]
    assert plan_scores(scores, alike, kind="margin").robustness == pytest.approx(3.0)


def _questions(folder: Path) -> list[Question]:
    wide, tall = folder / "wide.png", folder / "tall.png"
    tiny_image(1, (112, 56)).save(wide)
    tiny_image(2, (56, 80)).save(tall)
    return [
        pope(0, 0, image=wide, prompt="Is there a red cup in the image?"),
        scienceqa(
            1, 2, "ABCD", prompt="Context: a table. Which of these things is a person, a dog, or a cat?"
        ),
        pope(2, 1, image=tall, prompt="A dog?"),
        scienceqa(3, 0, "AB", image=wide, prompt="Which?"),
        pope(4, 0, image=wide, prompt="Is there an orange bowl left of the blue chair in the picture?"),
        scienceqa(5, 1, "ABC", prompt="B?"),
        pope(6, 1, image=tall, prompt="Is there a tree in the picture? Answer with a single word."),
    ]


@pytest.fixture(scope="module", params=["llava", "qwen2.5-vl"])
def adapter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    build: Callable[..., Path] = {"llava": tiny_llava, "qwen2.5-vl": tiny_qwen2_5_vl}[request.param]
    return load_model(build(tmp_path_factory.mktemp("evaluator")))


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    return _questions(tmp_path_factory.mktemp("pictures"))


def _one_by_one(adapter: Adapter, questions: list[Question]) -> AnswerScores:
    answers = np.full((len(questions), max(len(q.answers) for q in questions)), -np.inf)
    rest = np.zeros(len(questions))
    features = encode_image_files(adapter, questions)
    for row, question in enumerate(questions):
        batch, images = adapter.encode([question], features)
        with torch.inference_mode():
            logits = adapter.answer_logits(batch, images)[0].double()
        named: set[int] = set()
        for column, answer in enumerate(question.answers):
            ids = list(adapter.answer_tokens(answer))
            answers[row, column] = logits[ids].logsumexp(0)
            named.update(ids)
        rest[row] = logits[[token for token in range(len(logits)) if token not in named]].logsumexp(0)
    return AnswerScores(answers=answers, rest=rest)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_scores_are_in_the_order_asked_whatever_the_batch_size(adapter, questions, batch_size, packed):
    evaluator = Evaluator(adapter, questions, batch_size=batch_size, packed=packed)
    expected = _one_by_one(adapter, questions)
    prepared = evaluator.prepare()
    assert max(len(part.rows) for part in prepared) <= batch_size
    assert sorted(row for part in prepared for row in part.rows) == list(range(7))
    scores = evaluator.scores(prepared)
    assert_agree(scores.answers, expected.answers)
    assert_agree(scores.rest, expected.rest)
    assert np.ptp(expected.answers[np.isfinite(expected.answers)]) > 0.1  # else any order would do


def test_scores_of_some_questions(adapter, questions):
    evaluator = Evaluator(adapter, questions, batch_size=2)
    chosen = np.array([6, 0, 2])
    whole = evaluator.scores(evaluator.prepare())
    some = evaluator.scores(evaluator.prepare(chosen))
    assert some.answers.shape == (3, 2)
    assert_agree(some.answers, whole.answers[chosen, :2])
    assert evaluator.gold[chosen].tolist() == [1, 0, 1]


def test_questions_about_one_image_share_a_sequence(adapter, questions, monkeypatch):
    monkeypatch.setattr("hipp_prune.evaluation.evaluator._PASS", 10**6)
    (unpacked,) = Evaluator(adapter, questions, packed=False).prepare()
    (packed,) = Evaluator(adapter, questions).prepare()
    assert len(unpacked.batch.input_ids) == 7
    assert len(packed.batch.input_ids) == 3
    assert sorted(packed.rows) == list(range(7))


@pytest.mark.parametrize(
    ("price", "most", "expected"),
    [
        (0, 11, [1, 2, 3, 4]),  # no padding at all
        (10, 11, [3, 4]),  # three short rows padded by 3 tokens cost less than a pass, the long one does not
        (10**6, 11, [4]),
        (10**6, 5, [1, 3, 4]),  # 2 + 1 + 1 questions and 2 more are too many
    ],
)
def test_batches_are_cut_where_padding_costs_more_than_a_pass(monkeypatch, price, most, expected):
    monkeypatch.setattr("hipp_prune.evaluation.evaluator._PASS", price)
    batches = group_by_length([10, 11, 12, 40], [3, 3, 2, 3], most=most)
    assert [batch.stop for batch in batches] == expected
    assert [batch.start for batch in batches] == [0, *expected[:-1]]


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 3)), max_size=7), st.integers(3, 8))
def test_no_other_batches_cost_less(sequences, most):
    sequences = sorted(sequences)
    lengths, sizes = [length for length, _ in sequences], [size for _, size in sequences]

    def cost(ends: tuple[int, ...]) -> float:
        total, start = 0.0, 0
        for end in ends:
            allowed = sum(sizes[start:end]) <= most
            total += _PASS + (end - start) * lengths[end - 1] if allowed else np.inf
            start = end
        return total

    found = tuple(batch.stop for batch in group_by_length(lengths, sizes, most=most))
    last = len(lengths)
    inner = range(1, last)
    cuts = [(*cut, last) for count in range(last) for cut in combinations(inner, count)] or [()]
    assert cost(found) == min(map(cost, cuts))


@pytest.mark.parametrize("batch_size", [2, 64])
def test_packing_and_the_order_of_questions_change_no_score(adapter, questions, batch_size):
    unpacked = Evaluator(adapter, questions, packed=False)
    expected = unpacked.scores(unpacked.prepare())
    order = np.random.default_rng(0).permutation(len(questions))
    evaluator = Evaluator(adapter, [questions[index] for index in order], batch_size=batch_size)
    scores = evaluator.scores(evaluator.prepare())
    assert_agree(scores.answers, expected.answers[order])
    assert_agree(scores.rest, expected.rest[order])


def test_progress_counts_questions(adapter, questions):
    seen: list[tuple[int, int]] = []
    evaluator = Evaluator(adapter, questions, batch_size=3)
    prepared = evaluator.prepare()
    evaluator.scores(prepared, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 7) for done in np.cumsum([len(part.rows) for part in prepared])]
    assert len(seen) >= 3
    assert seen[-1] == (7, 7)
