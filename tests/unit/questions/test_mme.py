"""MME: its folders of texts and pictures, its reading of answers, and its sums by hand."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hipp_prune.errors import ImageError, InputError, QuestionError
from hipp_prune.questions.benchmarks import mme
from hipp_prune.questions.records import SkipBad
from tests.tiny import tiny_image

TEXT = "Is there a cup? Please answer yes or no.\tYes\nIs there a dog? Please answer yes or no.\tNo\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two pictures that lie beside their texts, and one that does not."""
    for task, stem, pictures, texts in (
        ("count", "1", "count", "count"),
        ("count", "2", "count", "count"),
        ("scene", "1", "scene/images", "scene/questions_answers_YN"),
        ("code_reasoning", "1", "code_reasoning", "code_reasoning"),
    ):
        for folder in (pictures, texts):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        suffix = ".png" if task == "code_reasoning" else ".jpg"
        tiny_image(1).save(tmp_path / pictures / f"{stem}{suffix}")
        (tmp_path / texts / f"{stem}.txt").write_text(TEXT)
    return tmp_path


def test_a_line_becomes_a_question(data: Path) -> None:
    questions = mme.load(data)
    assert [question.subset for question in questions[::2]] == ["count", "count", "scene", "code_reasoning"]
    assert [question.answer for question in questions] == ["Yes", "No"] * 4
    assert questions[5].id == "mme/scene/1/1"
    assert questions[5].prompt == "Is there a dog? Please answer yes or no."
    assert questions[5].images == (data / "scene" / "images" / "1.jpg",)
    assert questions[6].images == (data / "code_reasoning" / "1.png",)
    assert questions[6].tags == {"cognition"}


@pytest.mark.parametrize("place", ["MME_Benchmark", "MME_Benchmark_release_version/MME_Benchmark"])
def test_the_archive_may_be_unpacked_anywhere_above(data: Path, tmp_path: Path, place: str) -> None:
    outer = tmp_path / "outer"
    (outer / place).parent.mkdir(parents=True)
    (outer / place).symlink_to(data)
    assert len(mme.load(outer)) == 8


def test_the_instruction_is_added_where_it_is_missing(data: Path) -> None:
    (data / "count" / "1.txt").write_text("Is it?\tYes\n\nIs it not?\tno\n")
    assert [question.prompt for question in mme.load(data)[:2]] == [
        "Is it? Please answer yes or no.",
        "Is it not? Please answer yes or no.",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Is it?\tYes\n", "expected two questions, found 1"),
        (TEXT + TEXT, "expected two questions, found 4"),
        ("Is it?\tYes\nIs it not? No\n", "a tab and Yes or No a line, found 'Is it not"),
        ("Is it?\tYes\nIs it not?\tperhaps\n", "found 'Is it not"),
        ("Is it?\tYes\n \tNo\n", "expected a question"),
    ],
)
def test_a_bad_text_is_named_or_left_out(data: Path, text: str, complaint: str) -> None:
    (data / "count" / "2.txt").write_text(text)
    with pytest.raises(QuestionError, match=complaint):
        mme.load(data)
    skip_bad = SkipBad()
    assert len(mme.load(data, skip_bad=skip_bad)) == 6
    assert skip_bad.count == 1


@given(content=st.binary(max_size=40) | st.text("aY\t\n\r\x00 esNo?", max_size=40).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_two_questions_or_refused_in_a_sentence(data: Path, content: bytes) -> None:
    (data / "count" / "2.txt").write_bytes(content)
    skip_bad = SkipBad()
    assert len(mme.load(data, skip_bad=skip_bad)) == 8 - 2 * skip_bad.count


def test_missing_subtasks_and_pictures_are_named(data: Path, tmp_path: Path) -> None:
    (data / "count" / "1.jpg").unlink()
    with pytest.raises(ImageError, match=r"picture 1 with \.jpg or .*as in mme:PATH,images=DIR"):
        mme.load(data)
    assert len(mme.load(data, need_images=False)) == 8
    (tmp_path / "empty").mkdir()
    with pytest.raises(QuestionError, match="expected folders called existence, count"):
        mme.load(tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "official", "lmms_eval"),
    [
        ("Yes", 0, 0),
        ("  no", 1, 1),
        ("It is yes", None, None),
        ("Y", None, 0),
        ("nor yes", 1, 1),
        ("    yes", None, 0),
    ],
)
def test_the_first_four_characters_are_read(
    data: Path, text: str, official: int | None, lmms_eval: int | None
) -> None:
    question = mme.load(data)[0]
    assert mme.parse(question, text) == official
    assert mme.parse(question, text, "lmms-eval") == lmms_eval


def test_a_subtask_scores_accuracy_and_whole_pictures(data: Path) -> None:
    questions = mme.load(data)
    score = mme.score(questions, [0, 1, 0, 0, 0, None, 0, 1])
    assert score.official(("count",)) == 75 + 50
    assert score.official(("scene",)) == 50 + 0
    assert score.official(mme.PERCEPTION) == 175
    assert score.official(mme.COGNITION) == 200
    assert score.pictures["all"] == (2, 4)
    assert score.remark == "neither Yes nor No, so wrong: 1 answers"
    assert [row[0] for row in score.rows()] == [
        "MME", "all", "perception", "cognition", "count", "scene", "code_reasoning",
    ]  # fmt: skip
    content = json.loads(json.dumps(score.to_json()))
    for wrong in ({"pictures": {}}, {"pictures": content["pictures"] | {"all": [5, 4]}}):
        with pytest.raises(InputError, match=r"^x.*; score again with"):
            mme.restore(content | wrong, "x")
