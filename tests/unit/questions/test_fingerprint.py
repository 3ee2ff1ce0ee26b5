"""A question that changed in anything that a score depends on gives another fingerprint; nothing else does."""

from dataclasses import replace
from pathlib import Path

import pytest

from hipp_prune.questions.fingerprint import fingerprint_questions
from hipp_prune.questions.question import Question


@pytest.fixture
def questions(tmp_path: Path) -> list[Question]:
    (tmp_path / "a.png").write_bytes(b"a picture")
    return [
        Question(
            benchmark="pope",
            id=f"random/{index}",
            prompt=f"Is there a cup {index}?",
            images=((tmp_path / "a.png",), ())[index % 2],
            answers=("Yes", "No"),
            gold=index % 2,
            subset="random",
            group=str(index),
        )
        for index in range(6)
    ]


def test_order_and_place_do_not_matter(questions: list[Question], tmp_path: Path) -> None:
    moved = tmp_path / "moved.png"
    moved.write_bytes((tmp_path / "a.png").read_bytes())
    elsewhere = [replace(question, images=question.images and (moved,)) for question in questions]
    assert (
        fingerprint_questions(questions)
        == fingerprint_questions(questions[::-1])
        == fingerprint_questions(elsewhere)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"gold": 1},
        {"prompt": "Is there a dog?"},
        {"id": "random/9"},
        {"answers": ("No", "Yes")},
        {"images": ()},
        {"images": (Path("a.png"), Path("a.png"))},
    ],
    ids=str,
)
def test_a_changed_question_is_noticed(questions: list[Question], change: dict[str, object]) -> None:
    assert fingerprint_questions([replace(questions[0], **change), *questions[1:]]) != fingerprint_questions(
        questions
    )


def test_a_missing_question_and_a_changed_picture_are_noticed(
    questions: list[Question], tmp_path: Path
) -> None:
    before = fingerprint_questions(questions)
    assert fingerprint_questions(questions[1:]) != before
    (tmp_path / "a.png").write_bytes(b"another picture")
    assert fingerprint_questions(questions) != before
