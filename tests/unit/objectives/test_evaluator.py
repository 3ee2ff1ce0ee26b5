from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hipp_prune.errors import ImageError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter, PackedBatch
from hipp_prune.objectives.evaluator import (
    Evaluator,
    encode_image_files,
    plan_objectives,
    score_answers,
)
from hipp_prune.objectives.returns import AnswerScores
from hipp_prune.questions.question import Question
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl
from tests.unit.objectives.questions import pope, scienceqa


def test_score_answers_by_hand():
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, -1.0, -2.0, -3.0]])
    tokens = torch.tensor([[[1, 3], [2, -1], [-1, -1]], [[3, -1], [1, 2], [0, -1]]])
    allowed, rest = score_answers(logits, tokens)
    e = np.exp
    expected = [[np.log(e(2) + e(4)), 3.0, -np.inf], [-3.0, np.log(e(-1) + e(-2)), 0.0]]
    np.testing.assert_allclose(allowed.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(rest.numpy(), [1.0, -np.inf], atol=1e-6)


def test_padding_does_not_take_token_zero_from_the_rest():
    logits = torch.tensor([[7.0, 1.0, 2.0]])
    _, rest = score_answers(logits, torch.tensor([[[1, -1], [2, -1]]]))
    assert rest.tolist() == [7.0]
    _, rest = score_answers(logits, torch.tensor([[[0, -1], [2, -1]]]))
    assert rest.tolist() == [1.0]


def test_plan_objectives_balance_classes_and_average_utility():
    questions = [pope(0, 0), pope(1, 0), pope(2, 0), pope(3, 1), scienceqa(0, 0), scienceqa(1, 2)]
    margins = [1.0, 2.0, 3.0, -4.0, 0.5, 1.5]
    answers = np.full((6, 3), -np.inf)
    for row, (question, margin) in enumerate(zip(questions, margins, strict=True)):
        answers[row, question.gold] = margin
        answers[row, (question.gold + 1) % 2] = 0.0
    scores = AnswerScores(answers=answers, rest=np.zeros(6))
    assert plan_objectives(scores, questions, kind="margin") == pytest.approx(((2.0 - 4.0) / 2, 1.0))
    assert plan_objectives(scores, questions, kind="tanh", tau=1.0)[1] == pytest.approx(
        (np.tanh(0.5) + np.tanh(1.5)) / 2
    )


def test_an_objective_without_questions_is_zero():
    scores = AnswerScores(answers=np.array([[1.0, 0.0]]), rest=np.zeros(1))
    assert plan_objectives(scores, [pope(0, 0)], kind="margin") == (1.0, 0.0)
    assert plan_objectives(scores, [scienceqa(0, 0, "AB")], kind="margin") == (0.0, 1.0)


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
    np.testing.assert_allclose(scores.answers, expected.answers, atol=1e-4)
    np.testing.assert_allclose(scores.rest, expected.rest, atol=1e-4)
    assert np.ptp(expected.answers[np.isfinite(expected.answers)]) > 0.1  # else any order would do


def test_scores_of_some_questions(adapter, questions):
    evaluator = Evaluator(adapter, questions, batch_size=2)
    chosen = np.array([6, 0, 2])
    whole = evaluator.scores(evaluator.prepare())
    some = evaluator.scores(evaluator.prepare(chosen))
    assert some.answers.shape == (3, 2)
    np.testing.assert_allclose(some.answers, whole.answers[chosen, :2], atol=1e-4)
    assert evaluator.gold[chosen].tolist() == [1, 0, 1]


def test_questions_about_one_image_share_a_sequence(adapter, questions, monkeypatch):
    monkeypatch.setattr("hipp_prune.objectives.evaluator._SPREAD", np.inf)
    (unpacked,) = Evaluator(adapter, questions, packed=False).prepare()
    (packed,) = Evaluator(adapter, questions).prepare()
    assert len(unpacked.batch.input_ids) == 7
    assert len(packed.batch.input_ids) == 4
    assert sorted(packed.rows) == list(range(7))


def test_sequences_of_a_batch_are_of_similar_length(adapter, questions):
    for packed in (True, False):
        for part in Evaluator(adapter, questions, packed=packed).prepare():
            batch = part.batch
            tokens = batch.segments >= 0 if isinstance(batch, PackedBatch) else batch.attention_mask
            lengths = tokens.sum(1)
            assert lengths.max() <= 1.5 * lengths.min()


@pytest.mark.parametrize("batch_size", [2, 64])
def test_packing_and_the_order_of_questions_change_no_score(adapter, questions, batch_size):
    unpacked = Evaluator(adapter, questions, packed=False)
    expected = unpacked.scores(unpacked.prepare())
    order = np.random.default_rng(0).permutation(len(questions))
    evaluator = Evaluator(adapter, [questions[index] for index in order], batch_size=batch_size)
    scores = evaluator.scores(evaluator.prepare())
    np.testing.assert_allclose(scores.answers, expected.answers[order], atol=1e-4)
    np.testing.assert_allclose(scores.rest, expected.rest[order], atol=1e-4)


def test_progress_counts_questions(adapter, questions):
    seen: list[tuple[int, int]] = []
    evaluator = Evaluator(adapter, questions, batch_size=3)
    prepared = evaluator.prepare()
    evaluator.scores(prepared, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 7) for done in np.cumsum([len(part.rows) for part in prepared])]
    assert len(seen) >= 3
    assert seen[-1] == (7, 7)


def test_pictures_are_encoded_once(adapter, questions, monkeypatch):
    encoded: list[int] = []
    encode = type(adapter).encode_images

    def counted(self: Adapter, images: list) -> list:
        encoded.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(type(adapter), "encode_images", counted)
    evaluator = Evaluator(adapter, questions)
    for _ in range(2):
        evaluator.scores(evaluator.prepare())
    assert sum(encoded) == 2


def test_missing_picture(adapter, tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png"):
        Evaluator(adapter, [pope(0, 0, image=tmp_path / "gone.png")])
