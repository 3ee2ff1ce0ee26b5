"""Official POPE files: both encodings, every bad input, and the real nine files."""

import json
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.benchmarks import pope
from hipp_prune.questions.records import SkipBad

REAL = Path(__file__).parents[4] / "shared" / "data" / "pope"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="the official POPE files are not here")


def record(number: int = 1, label: str = "yes", **changes: Any) -> dict[str, Any]:
    fields = {"question_id": number, "image": f"{number}.jpg", "text": "Is there a cup?", "label": label}
    return fields | changes


def write(folder: Path, *records: Any, name: str = "coco_pope_random.json") -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def test_a_record_becomes_a_question_with_llavas_prompt(tmp_path: Path) -> None:
    (question,) = pope.load(write(tmp_path, record(7, "no")))
    assert question.id == "random/7"
    assert question.prompt == "Is there a cup?\nAnswer the question using a single word or phrase."
    assert question.answers == ("Yes", "No")
    assert question.answer == "No"
    assert question.subset == "random"
    assert question.images == (tmp_path / "images" / "7.jpg",)
    assert question.group == str(question.images[0])


def test_lines_and_arrays_give_the_same_questions(tmp_path: Path) -> None:
    records = [record(1), record(2, "no")]
    lines = write(tmp_path, *records)
    array = write(tmp_path, name="aokvqa_pope_seem_random.json")
    array.write_text(json.dumps(records, indent=4))
    assert pope.load(lines) == pope.load(array)


def test_a_folder_gives_its_subsets_in_the_papers_order(tmp_path: Path) -> None:
    for subset in ("adversarial", "popular", "random"):
        write(tmp_path, record(), name=f"coco_pope_{subset}.json")
    write(tmp_path, {"question": "Is there a cup?", "answer": "yes"}, name="answer_example.json")
    assert [question.id for question in pope.load(tmp_path)] == ["random/1", "popular/1", "adversarial/1"]


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        ({"question_id": 2, "image": "2.jpg", "text": "Is there?"}, "'label'"),
        (record(2, "maybe"), "'label' to be yes or no, found 'maybe'"),
        (record(2, text=3), "'text' to be a string, found 3"),
        (record(2, question_id=None), "'question_id' to be a string or an integer"),
        (record(1), "found random/1 again"),
        ("just a string", "expected an object, found 'just a string'"),
    ],
)
def test_a_bad_record_is_an_error_naming_file_and_line_or_is_skipped(
    tmp_path: Path, second: Any, complaint: str
) -> None:
    path = write(tmp_path, record(1), second, record(3))
    with pytest.raises(QuestionError) as caught:
        pope.load(path)
    assert f"{path}:2: " in str(caught.value)
    assert complaint in str(caught.value)

    skip_bad = SkipBad()
    questions = pope.load(path, skip_bad=skip_bad)
    assert [question.id for question in questions] == ["random/1", "random/3"]
    assert skip_bad.count == 1
    assert complaint in skip_bad.reasons[0]
    assert skip_bad.summary().startswith("left out 1: ")


def test_a_line_that_is_not_json_is_named_or_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, record(1))
    path.write_text(path.read_text() + '\n{"question_id": 2, "ima')
    with pytest.raises(QuestionError, match=r"random\.json:3: expected JSON, found an error at column 20"):
        pope.load(path)
    skip_bad = SkipBad()
    assert len(pope.load(path, skip_bad=skip_bad)) == 1
    assert skip_bad.count == 1


@pytest.mark.parametrize("ending", ["", ",", "]]", ', {"question_id"', " 5]"])
def test_a_broken_array_is_an_error_even_when_skipping(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path)
    path.write_text("[\n" + json.dumps(record(1)) + ending)
    with pytest.raises(QuestionError, match=r"random\.json:2: expected a JSON array"):
        pope.load(path, skip_bad=SkipBad())


def test_an_array_element_is_named_by_the_line_it_starts_on(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(json.dumps([record(1), record(2, "perhaps")], indent=4))
    with pytest.raises(QuestionError, match=r"random\.json:8: .*'perhaps'"):
        pope.load(path)


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"", "empty file"), (b"\xff\xfe{", "UTF-8"), (b"[]", "found none")]
)
def test_a_file_without_questions_is_an_error(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = write(tmp_path)
    path.write_bytes(content)
    with pytest.raises(QuestionError, match=complaint) as caught:
        pope.load(path)
    assert str(path) in str(caught.value)


def test_nothing_left_after_skipping_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="expected POPE questions, found none"):
        pope.load(write(tmp_path, record(1, "maybe")), skip_bad=SkipBad())


def test_a_path_without_official_files_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="found nothing; check the path"):
        pope.load(tmp_path / "absent")
    (tmp_path / "coco").mkdir()
    with pytest.raises(QuestionError, match="found coco; give the folder"):
        pope.load(tmp_path)
    with pytest.raises(QuestionError, match="which tells the subset"):
        pope.load(write(tmp_path, record(), name="questions.json"))


def test_two_families_in_one_folder_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, record(), name="aokvqa_pope_seem_random.json")
    write(tmp_path, record(), name="gqa_pope_seem_random.json")
    with pytest.raises(QuestionError, match=r"gqa_pope_seem_random\.json:1: .*one family of files at a time"):
        pope.load(tmp_path)


def test_pictures_are_looked_for_inside_then_beside_the_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "coco", record())
    (tmp_path / "val2014").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert pope.load(path, elsewhere)[0].images == (elsewhere / "1.jpg",)
    assert pope.load(path)[0].images == (tmp_path / "coco" / "images" / "1.jpg",)
    (tmp_path / "coco" / "images").rmdir()
    assert pope.load(path)[0].images == (tmp_path / "val2014" / "1.jpg",)
    (tmp_path / "val2014").rmdir()
    with pytest.raises(ImageError, match="give theirs with images="):
        pope.load(path)
    with pytest.raises(ImageError, match=r"absent: .*check images="):
        pope.load(path, tmp_path / "absent")
    assert len(pope.load(path, need_images=False)) == 1


@needs_real_data
@pytest.mark.parametrize("family", ["coco", "aokvqa", "gqa"])
def test_the_official_files_load_whole(family: str) -> None:
    questions = pope.load(REAL / family, need_images=False)
    assert len({question.id for question in questions}) == 9000
    assert len({question.group for question in questions}) == 500
    for subset in pope.SUBSETS:
        assert sum(q.subset == subset and q.answer == "Yes" for q in questions) == 1500
