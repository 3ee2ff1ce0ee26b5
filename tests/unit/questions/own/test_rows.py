"""A row tells what it asks; what could mean two things is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hipp_prune.errors import HippPruneError, QuestionError
from hipp_prune.questions.own.columns import Columns
from hipp_prune.questions.own.rows import QuestionRow, make_question, read_row
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions


def load(rows: list[dict[str, Any]], tmp_path: Path, name: str = "") -> list[Question]:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return load_questions([f"{name}{path}"], "all", cache=tmp_path)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("yes", "Yes"), (" NO ", "No"), ("Yes.", "Yes"), (True, "Yes"), (False, "No"), ("true", "Yes")],
)
def test_yes_and_no(answer: object, expected: str, tmp_path: Path) -> None:
    (question,) = load([{"question": "Cup?", "answer": answer}], tmp_path)
    assert (question.benchmark, question.answer) == ("yes-no", expected)
    assert question.prompt == "Cup?\nAnswer the question using a single word or phrase."


@pytest.mark.parametrize(
    ("choices", "answer", "letter"),
    [
        (["cup", "dog"], "B", "B"),
        (["cup", "dog"], "(b)", "B"),
        (["cup", "dog"], "dog", "B"),
        (["cup", "dog"], 0, "A"),
        (["cup", "dog"], "1", "B"),
        ([10, 20, 30], 20, "B"),
        (["Yes", "No"], "No", "B"),
        ("cup|dog", "cup", "A"),
        ('["cup", "a|b"]', "a|b", "B"),
        (list("abcdefgh"), "H", "H"),
    ],
)
def test_choices(choices: object, answer: object, letter: str, tmp_path: Path) -> None:
    (question,) = load([{"question": "Which?", "choices": choices, "answer": answer}], tmp_path)
    assert (question.benchmark, question.answer) == ("choices", letter)


def test_choices_may_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    row = {"question": "Which?", "A": "cup", "B": "dog", "C": "cat", "D": None, "answer": "C"}
    (question,) = load([row], tmp_path)
    assert question.answers == ("A", "B", "C")
    with pytest.raises(QuestionError, match="choices in columns A to C, found an empty one between"):
        load([{**row, "B": ""}], tmp_path)
    with pytest.raises(QuestionError, match="not in both, found both filled"):
        load([{**row, "choices": ["x", "y"]}], tmp_path)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"choices": ["B", "A"], "answer": "A"}, "found 'A', which could be A and B"),
        ({"choices": ["1", "2", "3"], "answer": 1}, "found 1, which could be A and B"),
        ({"choices": ["x", "x"], "answer": "x"}, "which could be A and B"),
        (
            {"choices": ["cup", "dog"], "answer": "cat"},
            "expected the answer to be a letter A to B, the text of",
        ),
        ({"choices": ["cup", "dog"], "answer": 2}, "found 2 of 2 choices, so the file counts from 1"),
        ({"choices": ["cup"], "answer": "A"}, "expected field 'choices' to be at least 2 long"),
        ({"choices": "cup", "answer": "A"}, 'expected choices as ["one", "two"] or one|two'),
        ({"choices": '["cup"', "answer": "A"}, 'expected choices as ["one", "two"] or one|two, found'),
        ({"choices": ["cup", "dog"], "answer": True}, "expected the answer to be a letter"),
        ({"answer": "1"}, "expected answers that say what they mean, found only 1; write Yes and No"),
        ({"answer": 1.5}, "expected field 'answer' to be"),
        ({"answer": None, "role": "robustness"}, "expected an answer, or role utility"),
        ({"answer": "yes", "role": "both"}, "expected field 'role' to be 'robustness' or 'utility'"),
        (
            {"answer": "yes", "image": [7, "a"]},
            "expected a picture, as a path or as bytes, or a list of pictures, found 7",
        ),
        ({"answer": "yes", "id": ""}, None),
    ],
)
def test_what_is_wrong_or_could_mean_two_things_is_refused(
    row: dict[str, Any], sentence: str | None, tmp_path: Path
) -> None:
    if sentence is None:
        assert load([{"question": "Which?", **row}], tmp_path)[0].id == "mine/1"
        return
    with pytest.raises(QuestionError) as caught:
        load([{"question": "Which?", **row}], tmp_path)
    assert sentence in str(caught.value)


def test_a_file_that_counts_from_one_is_refused_whatever_may_be_skipped(tmp_path: Path) -> None:
    rows = [{"question": "Which?", "choices": ["cup", "dog"], "answer": answer} for answer in (1, 2)]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(QuestionError, match="counts from 1"):
        load_questions([str(path)], "all", cache=tmp_path, skip_bad=SkipBad())


def test_a_row_names_its_role_its_group_and_its_id(tmp_path: Path) -> None:
    rows = [
        {"question": "Cup?", "answer": "yes", "role": "utility", "group": "kitchen", "id": "a"},
        {
            "question": "Cup?",
            "choices": ["x", "y"],
            "answer": "x",
            "role": "robustness",
            "group": 7,
            "id": "b",
        },
        {"question": "Dog?", "answer": "no", "role": "robustness"},
    ]
    questions = load(rows, tmp_path)
    assert [each.benchmark for each in questions] == ["yes-no-utility", "choices-robustness", "yes-no"]
    assert [each.group for each in questions[:2]] == ["kitchen", "7"]
    assert [each.id for each in questions] == ["mine/a", "mine/b", "mine/3"]


def test_ids_are_unique_and_a_picture_has_one_group(tmp_path: Path) -> None:
    twice = [{"question": "Cup?", "answer": "yes", "id": 1}] * 2
    with pytest.raises(QuestionError, match="expected every id once, found mine/1 again"):
        load(twice, tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    grouped = [{"image": "a.png", "question": "Cup?", "answer": "yes", "group": group} for group in "xy"]
    with pytest.raises(
        QuestionError, match="expected questions about one picture in one group, found 'y' and 'x'"
    ):
        load(grouped, tmp_path)


@pytest.mark.parametrize(
    ("rows", "counted"),
    [
        ([{"answer": "yes"}, {"answer": "no", "question": "Dog?"}, {"answer": True}], "a row asks again"),
        ([{"answer": "yes"}] * 3, "2 rows ask again"),
        ([{"answer": "the cup"}, {"answer": "Cup"}], "a row asks again"),
        ([{}, {}], "a row asks again"),
        (
            [{"answer": "A", "choices": ["cup", "dog"]}, {"answer": "cup", "choices": "cup|dog"}],
            "a row asks again",
        ),
        ([{"answer": "A", "choices": ["cup", "dog"]}, {"answer": "cup", "choices": "dog|cup"}], None),
        ([{"answer": "yes"}, {"answer": "yes", "role": "utility"}], None),
        ([{"answer": "yes", "image": "a.png"}, {"answer": "no", "image": "b.png"}], None),
    ],
)
def test_rows_that_repeat_a_question_are_counted(
    rows: list[dict[str, Any]], counted: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for width, name in enumerate(("a.png", "b.png"), start=2):
        Image.new("RGB", (width, 2)).save(tmp_path / name)
    assert len(load([{"question": "What?", "image": "a.png", **row} for row in rows], tmp_path)) == len(rows)
    assert [f"mine.jsonl: {counted} what an earlier one asks" in said for said in caplog.messages] == (
        [] if counted is None else [True]
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("yes", "no"), ("cup", "dog"), ("yes", "a dog"), (["A", "cup|dog"], ["B", "cup|dog"])],
)
def test_rows_that_contradict_each_other_are_refused(first: Any, second: Any, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "What?", "answer": answer}
        if isinstance(answer, str)
        else {"question": "What?", "answer": answer[0], "choices": answer[1]}
        for answer in (first, second, first)
    ]
    with pytest.raises(
        QuestionError, match=r"mine.jsonl:2: expected the answer .* at \S*mine.jsonl:1, '.*', found '"
    ):
        load(rows, tmp_path)
    left_out = SkipBad()
    kept = load_questions([str(tmp_path / "mine.jsonl")], "all", cache=tmp_path, skip_bad=left_out)
    assert [each.id for each in kept] == ["mine/1", "mine/3"]
    assert left_out.count == 1


def test_a_named_kind_takes_no_other(tmp_path: Path) -> None:
    yes = {"question": "Cup?", "answer": "yes"}
    assert load([yes], tmp_path, "yes-no-utility:")[0].benchmark == "yes-no-utility"
    with pytest.raises(QuestionError, match="expected a question of choices, found one of yes-no"):
        load([yes], tmp_path, "choices:")
    with pytest.raises(QuestionError, match="expected a question of yes-no, found one of yes-no-utility"):
        load([{**yes, "role": "utility"}], tmp_path, "yes-no:")


TEXTS = st.text(min_size=1, max_size=3)


@given(
    choices=st.lists(TEXTS, min_size=2, max_size=5),
    answer=st.one_of(TEXTS, st.integers(-1, 6), st.booleans()),
)
def test_an_answer_means_one_choice_or_is_refused(choices: list[str], answer: Any) -> None:
    row = QuestionRow(question="Which?", answer=answer, choices=list(choices))
    try:
        question = make_question(row, "choices", "here", id="1", subset="mine", images=())
    except QuestionError:
        return
    text = str(answer).strip()
    chosen = choices[question.gold].strip()
    assert text in (chosen, str(question.gold)) or text.strip("().").upper() == question.answer


@given(
    cells=st.dictionaries(
        st.sampled_from(["question", "answer", "choices", "id", "group", "role"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.floats()
            | st.integers()
            | st.text(max_size=5)
            | st.binary(max_size=3),
            lambda inside: st.lists(inside, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_any_cell_is_read_or_refused_in_one_sentence(cells: dict[str, Any]) -> None:
    columns = Columns(names={name: name for name in cells}, letters=(), videos=())
    said = "here"
    try:
        assert read_row(cells, columns, "here").question
    except HippPruneError as error:
        said = str(error)
    assert "\n" not in said
    assert said.startswith("here")
