"""Open questions, and closed ones whose answers their first tokens do not tell apart, asked in batches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hipp_prune.evaluation.evaluator import Evaluator, plan_scores
from hipp_prune.evaluation.features import encode_image_files
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.objectives.returns import log_complement, log_margins
from hipp_prune.questions import benchmarks
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.questions.question import Question
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree

LENGTHS = (4, 0, 2, 8, 2)


@pytest.fixture(scope="module", params=[tiny_llava, tiny_qwen2_5_vl])
def adapter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return load_model(request.param(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    """Open ones, a cut one, one told by its first token and one that is not."""
    folder = tmp_path_factory.mktemp("pictures")
    wide, tall = folder / "wide.png", folder / "tall.png"
    tiny_image(0, (120, 50)).save(wide)
    tiny_image(1, (64, 80)).save(tall)
    asked: list[tuple[str, Path | None, tuple[str, ...]]] = [
        ("What is it?", wide, ("a red cup",)),
        ("Is there a dog in the image?", wide, ("Yes", "No")),
        ("Which of these things is it?", wide, ("an orange bowl", "an orange", "the blue chair")),
        ("What colour is it?", tall, ("green",)),
        ("What is above the circle?", None, ("the green square is above the yellow circle",)),
    ]
    made = [
        Question(
            benchmark="scienceqa", id=str(number), prompt=prompt, images=(image,) if image else (), answers=answers,
            gold=0,
            subset="natural science", group=prompt,
        )
        for number, (prompt, image, answers) in enumerate(asked)
    ]  # fmt: skip
    return [*made[:4], replace(made[4], cut=True)]


def one_by_one(adapter: Adapter, question: Question, answer: str) -> tuple[float, bool]:
    """log p of an answer, word by word, and whether greedy decoding says it."""
    features = encode_image_files(adapter, [question])
    tokens, total, greedy = adapter.spelling.sequence(answer), 0.0, True
    wanted = [*tokens, *(() if question.cut else adapter.spelling.ends)]
    assert len(adapter.spelling.ends) == 1
    for said, token in enumerate(wanted):
        with torch.inference_mode():
            logits = adapter.answer_logits(*adapter.encode([question], features, [tokens[:said]]))[-1]
        total += float(logits.double().log_softmax(-1)[token])
        greedy = greedy and int(logits.argmax()) == token
    return total, greedy


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_scores_are_those_of_word_by_word(adapter, questions, batch_size, packed):
    evaluator = Evaluator(adapter, questions, batch_size=batch_size, packed=packed)
    order = np.array([2, 4, 0, 3, 1])
    scores = evaluator.scores(evaluator.prepare(order))
    assert scores.greedy is not None
    for row, index in enumerate(order.tolist()):
        question = questions[index]
        if question.is_open:
            expected, greedy = one_by_one(adapter, question, question.answer)
            assert_agree(scores.answers[row, 0], np.float64(expected))
            assert_agree(scores.answers[row, 1:2], log_complement(np.array([expected])))
            assert scores.greedy[row] == (0 if greedy else 1)
        elif len(question.answers) == 3:
            assert scores.greedy[row] == -1
            each = [one_by_one(adapter, question, answer)[0] for answer in question.answers]
            assert_agree(scores.answers[row], np.array(each))
    alone = Evaluator(adapter, [questions[1]])
    closed = alone.scores(alone.prepare())
    assert_agree(scores.answers[4, :2], closed.answers[0])
    assert_agree(scores.rest[4:], closed.rest)


def test_a_batch_counts_the_tokens_of_answers(adapter, questions):
    evaluator = Evaluator(adapter, questions, batch_size=6)
    for part in evaluator.prepare():
        positions = int(part.batch.predicts.sum())
        assert positions <= 6 or len(part.rows) == 1


@pytest.fixture
def of_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the answers to our questions for the dense model's own."""
    table = {**BENCHMARKS, "scienceqa": replace(BENCHMARKS["scienceqa"], of_dense=True)}
    monkeypatch.setattr(benchmarks, "BENCHMARKS", table)


def test_the_dense_model_agrees_with_itself_and_a_pruned_one_less(adapter, questions, of_dense, monkeypatch):
    monkeypatch.setattr("hipp_prune.evaluation.sequences.LIKELIEST", 10**6)
    asked = [question for question in questions if question.is_open]
    evaluator = Evaluator(adapter, asked)
    prepared = evaluator.prepare(dense=True)
    scores = evaluator.scores(prepared)
    assert scores.answers[:, 0].tolist() == [0, 0, 0]
    assert scores.predictions().tolist() == [0, 0, 0]
    weights = [block.down.weight.clone() for block in adapter.blocks]
    try:
        for block in adapter.blocks:
            block.down.weight.data[:, ::2] = 0
        again = evaluator.scores(evaluator.prepare())
        pruned = evaluator.scores(prepared)
        batch, images = adapter.encode(
            asked, encode_image_files(adapter, asked), [adapter.spelling.sequence(q.answer) for q in asked]
        )
        with torch.no_grad():
            found = adapter.answer_logits(batch, images)
    finally:
        for block, weight in zip(adapter.blocks, weights, strict=True):
            block.down.weight.data.copy_(weight)
    with torch.no_grad():
        dense = adapter.answer_logits(batch, images)
    log_p, log_q = dense.log_softmax(1), found.log_softmax(1)
    each = (log_p.exp() * (log_p - log_q)).sum(1)
    lengths = [len(adapter.spelling.sequence(question.answer)) + 1 for question in asked]
    whole = -np.array([float(part.mean()) for part in each.split(lengths)])
    assert (pruned.answers[:, 0] < -1e-5).all()
    np.testing.assert_allclose(pruned.answers[:, 0], whole, atol=1e-5)
    assert_agree(again.answers, pruned.answers)
    assert np.isfinite(log_margins(scores, evaluator.gold)).all()
    assert plan_scores(pruned, asked).utility < plan_scores(scores, asked).utility <= 0
