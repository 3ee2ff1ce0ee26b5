"""Short answers: which are the same."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import QuestionError
from hipp_prune.questions.own.short_answers import normalised, parse_short
from hipp_prune.questions.sources import load_questions


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The red cup.", "red cup"),
        ("two dogs", "2 dogs"),
        ("None", "0"),
        ("cup, dog", "cup dog"),
        ("3.5", "3.5"),
        ("1,000", "1000"),
        ("The", "the"),
        ("?", "?"),
        ("", ""),
    ],
)
def test_an_answer_is_compared_as_vqa_does(text: str, plain: str) -> None:
    assert normalised(text) == plain


@given(st.text(alphabet="abthe two,.?'10 ", max_size=12))
def test_capitals_and_spaces_around_do_not_matter(text: str) -> None:
    assert normalised(f" {text.upper()} ") == normalised(text)


def test_a_free_answer_makes_an_open_question(tmp_path: Path) -> None:
    rows = [{"question": "How many?", "answer": 2}, {"question": "Cup?", "answer": "yes"}]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(rows))
    free, closed = load_questions([str(path)], "all", cache=tmp_path)
    assert (free.benchmark, free.answers) == ("short-answers", ("2",))
    assert closed.benchmark == "yes-no"
    both = load_questions([f"short-answers:{path}"], "all", cache=tmp_path)
    assert [question.answers for question in both] == [("2",), ("yes",)]
    assert [parse_short(free, text) for text in ("two.", "3")] == [0, 1]
    path.write_text(json.dumps([{"question": "How many?", "answer": 1}]))
    with pytest.raises(
        QuestionError, match=r"write Yes and No, or short-answers:.*mine.json where they are counts"
    ):
        load_questions([str(path)], "all", cache=tmp_path)
    assert load_questions([f"short-answers:{path}"], "all", cache=tmp_path)[0].answers == ("1",)
