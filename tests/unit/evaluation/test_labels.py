"""The dense model's own answers, and what it says is in a picture."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hipp_prune.errors import QuestionError
from hipp_prune.evaluation import scorecard
from hipp_prune.evaluation.asserted_objects import ask_objects, choose_objects
from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.evaluation.free_answers import FreeAnswer, answer_freely, label
from hipp_prune.evaluation.labels import Labels, make_labels
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.objectives.returns import log_margins
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.benchmarks import agreement
from hipp_prune.questions.coco import OBJECTS
from hipp_prune.questions.own.photos import PROMPT
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions
from tests.tiny import tiny_image, tiny_llava


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return load_model(tiny_llava(tmp_path_factory.mktemp("model"), seed=3))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        tiny_image(number).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def questions(photos: Path) -> list[Question]:
    return load_questions([f"photos:{photos}"], "all", cache=photos)


def test_a_folder_of_pictures_is_asked_about_and_comes_without_answers(
    photos: Path, questions: list[Question]
):
    assert [question.id for question in questions] == [f"photos/{number}.png" for number in range(4)]
    assert all(question.is_unlabelled and not question.is_open for question in questions)
    assert {question.prompt for question in questions} == {PROMPT}
    (first, *_) = load_questions([f"photos:{photos},prompt=What is it?"], "all", cache=photos)
    assert first.prompt == "What is it?"


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    with pytest.raises(QuestionError, match="expected pictures"):
        load_questions([f"photos:{tmp_path}"], "all", cache=tmp_path)
    with pytest.raises(QuestionError, match=r"give photos:.*calibrate asks about objects by itself"):
        load_questions([f"agreement-objects:{tmp_path}"], "all", cache=tmp_path)


def test_questions_without_an_answer_are_not_scored(adapter: Adapter, questions: list[Question]):
    with pytest.raises(QuestionError, match="has no answer to score by; give the dense model's answers"):
        Evaluator(adapter, questions).prepare()


def test_free_answers_are_what_the_model_generates(adapter: Adapter, questions: list[Question]):
    answers = answer_freely(adapter, questions, max_tokens=5)
    assert answers == answer_freely(adapter, questions, max_tokens=5, batch_size=1)
    assert all(answer.cut for answer in answers), "a random model does not end by chance; choose another seed"
    longer = answer_freely(adapter, questions, max_tokens=8)
    assert all(more.text.startswith(less.text) for less, more in zip(answers, longer, strict=True))


def test_an_answer_stops_at_the_token_that_ends_it(
    adapter: Adapter, questions: list[Question], monkeypatch: pytest.MonkeyPatch
):
    ids = adapter.spelling.sequence("a red cup")
    (end,) = adapter.spelling.ends
    made = np.array([[*ids, end, ids[0]], [*ids, ids[0], ids[0]]])
    monkeypatch.setattr(adapter, "generate_tokens", lambda *_, **__: made)
    found = answer_freely(adapter, questions[:2])
    assert found[0] == FreeAnswer(text="a red cup", cut=False)
    assert found[1].cut
    assert found[1].text.startswith("a red cup")


@pytest.mark.parametrize(
    ("said", "cut", "given"),
    [
        ("a red cup", True, "a red cup on a table"),
        ("a red cup on a table that", True, "a red cup on a table that"),
        ("a red cup", False, "a red cup"),
        ("a blue cup", True, "a blue cup"),
        ("", True, ""),
    ],
)
def test_an_answer_counts_as_far_as_the_model_was_let(
    said: str,
    cut: bool,
    given: str,
    adapter: Adapter,
    questions: list[Question],
    monkeypatch: pytest.MonkeyPatch,
):
    (question,) = label(questions[:1], [FreeAnswer(text="a red cup on a table", cut=True)])
    monkeypatch.setattr(scorecard, "answer_freely", lambda *_, **__: [FreeAnswer(text=said, cut=cut)])
    ((answer,), _) = scorecard.answer_questions(adapter, [question])
    assert answer.given == given
    agrees = agreement.parse(question, answer.given, "official") == 0
    assert agrees == given.startswith("a red cup on")


def test_a_character_that_was_cut_off_within_is_none():
    question = Question(
        benchmark="agreement", id="1", prompt="What?", images=(), answers=("caf\ufffd",), gold=0, subset="all",
        group="1", cut=True,
    )  # fmt: skip
    assert agreement.parse(question, "Café, bar", "official") == 0
    assert agreement.parse(question, "Bar", "official") == 1
    assert agreement.parse(replace(question, answers=("\ufffd",)), "Bar", "official") == 1


def test_who_says_nothing_labels_nothing(questions: list[Question]):
    answers = [FreeAnswer(text=text, cut=cut) for text, cut in (("a cup", False), ("", True), ("a", True))]
    labelled = label(questions[:3], answers)
    assert [(question.id, question.answers, question.cut) for question in labelled] == [
        ("photos/0.png", ("a cup",), False),
        ("photos/2.png", ("a",), True),
    ]


@given(arrays(np.float64, 12, elements=st.floats(-9, 9)), st.floats(0, 4), st.integers(1, 4))
def test_objects_are_sure_and_as_balanced_as_they_can_be(margins, sure, most):
    yes, no = choose_objects(margins, sure=sure, most=most)
    assert all(margins[index] >= sure for index in yes)
    assert all(margins[index] <= -sure for index in no)
    rarer = min((margins >= sure).sum(), (margins <= -sure).sum())
    assert len(yes) == min((margins >= sure).sum(), max(1, min(rarer, most)))
    assert len(no) == min((margins <= -sure).sum(), max(1, min(rarer, most)))
    if yes:
        assert margins[yes[0]] == margins.max()


def test_the_gold_answer_about_an_object_is_the_models_own(adapter: Adapter, questions: list[Question]):
    names = ("dog", "cat", "orange", "table", "car", "tree")
    asked = ask_objects(adapter, [*questions, questions[0]], objects=names, sure=0.0)
    assert len({question.id for question in asked}) == len(asked) > 0
    assert {question.images for question in asked} == {question.images for question in questions}
    evaluator = Evaluator(adapter, asked)
    scores = evaluator.scores(evaluator.prepare())
    assert (log_margins(scores, evaluator.gold) >= 0).all()
    assert all("Is there an orange in" in q.prompt for q in asked if q.id.endswith("orange"))


def test_labels_are_stored_and_read_as_they_were(adapter: Adapter, questions: list[Question], tmp_path: Path):
    made = make_labels(adapter, questions, max_tokens=4, sure=0.0)
    assert len(made.answers) == 4
    paths = tmp_path / "answers.jsonl", tmp_path / "objects.jsonl"
    made.save(*paths)
    assert Labels.load(*paths) == made
    other = replace(questions[0], id="q", answers=("Yes", "No"))
    complete = made.complete([other, questions[2]])
    assert complete[:2] == [other, made.answers[2]]
    assert {question.images for question in complete[2:]} == {questions[2].images}
    assert json.loads(paths[0].read_text().splitlines()[0])["cut"] is True


def test_objects_are_cocos():
    assert len(set(OBJECTS)) == 80


def test_words_are_compared_whatever_their_capitals_and_full_stop():
    question = Question(
        benchmark="agreement",
        id="q",
        prompt="?",
        images=(),
        answers=("A red  cup.",),
        gold=0,
        subset="all",
        group="g",
    )
    assert agreement.parse(question, "a Red cup", "official") == 0
    assert agreement.parse(question, "a red cup and a dog", "official") == 1


def test_a_blank_answer_is_refused(tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"id": "1", "prompt": "What?", "answer": "  "}) + "\n")
    with pytest.raises(QuestionError, match=r"answers\.jsonl:1: expected an answer, found white space"):
        agreement.load(path, Loading(options={}))
