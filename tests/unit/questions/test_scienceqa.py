"""Official ScienceQA: prompts to the letter, tags as the official score counts, every bad input."""

import json
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.benchmarks import scienceqa
from hipp_prune.questions.multiple_choice import chance_level
from hipp_prune.questions.records import SkipBad

REAL = Path(__file__).parents[4] / "shared" / "data" / "scienceqa"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="the official ScienceQA files are not here")


def problem(**changes: Any) -> dict[str, Any]:
    fields = {
        "question": "Which is an animal?",
        "choices": ["stone", "fox", "oak"],
        "answer": 1,
        "hint": "",
        "image": None,
        "grade": "grade2",
        "subject": "natural science",
        "split": "test",
    }
    return fields | changes


def write(root: Path, problems: dict[str, Any], **splits: list[str]) -> Path:
    (root / "problems.json").write_text(json.dumps(problems))
    (root / "pid_splits.json").write_text(json.dumps(splits or {"test": list(problems)}))
    return root


def flattened(**changes: Any) -> dict[str, Any]:
    fields = {
        "pid": "3",
        "prompt": "Context: Foxes run.\nWhich runs?\nA. fox\nB. oak",
        "choices": ["fox", "oak"],
        "answer": 0,
        "image": "images/test/3/image.png",
    }
    return fields | changes


def write_flattened(folder: Path, *records: Any) -> Path:
    path = folder / "test_llava.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def test_prompt_is_llavas_without_hint_and_image(tmp_path: Path) -> None:
    (question,) = scienceqa.load(write(tmp_path, {"4": problem()}))
    assert question.prompt == (
        "Which is an animal?\nA. stone\nB. fox\nC. oak\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert (question.id, question.answers, question.answer) == ("4", ("A", "B", "C"), "B")
    assert (question.subset, question.images) == ("natural science", ())
    assert question.tags == {"NO", "G1-6"}


def test_prompt_names_the_context_and_tags_follow_hint_image_and_grade(tmp_path: Path) -> None:
    asked = problem(hint=" Foxes  run. ", image="image.png", grade="grade7")
    (question,) = scienceqa.load(write(tmp_path, {"4": asked}))
    assert question.prompt.startswith("Context: Foxes run.\nWhich is an animal?\nA. stone\n")
    assert question.images == (tmp_path / "images" / "test" / "4" / "image.png",)
    assert question.group == str(question.images[0])
    assert question.tags == {"TXT", "IMG", "G7-12"}


def test_text_questions_group_by_question_and_hint(tmp_path: Path) -> None:
    problems = {"1": problem(), "2": problem(choices=["a", "b"]), "3": problem(hint="Look.")}
    first, second, third = scienceqa.load(write(tmp_path, problems))
    assert first.group == second.group != third.group


def test_mini_splits_find_pictures_under_the_problems_own_split(tmp_path: Path) -> None:
    root = write(tmp_path, {"4": problem(image="image.png", split="val"), "5": problem()}, minival=["4"])
    (question,) = scienceqa.load(root, "minival")
    assert question.images == (root / "images" / "val" / "4" / "image.png",)
    (tmp_path / "other").mkdir()
    (question,) = scienceqa.load(root, "minival", images=tmp_path / "other")
    assert question.images == (tmp_path / "other" / "val" / "4" / "image.png",)
    with pytest.raises(ImageError, match="check images="):
        scienceqa.load(root, "minival", images=tmp_path / "absent")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"choices": ["only"]}, "'choices' to be at least 2 long, found a list of 1"),
        ({"choices": list("abcdef")}, "'choices' to be at most 5 long, found a list of 6"),
        ({"choices": "abc"}, "'choices' to be a list, found 'abc'"),
        ({"choices": ["a", 3]}, "'choices[1]' to be a string, found 3"),
        ({"answer": 3}, "'answer' to be one of the choices 0 to 2, found 3"),
        ({"answer": -1}, "'answer' to be at least 0, found -1"),
        ({"answer": True}, "'answer' to be an integer, found True"),
        ({"grade": "grade13"}, "'grade' to be grade1 to grade12, found 'grade13'"),
        ({"hint": None}, "'hint' to be a string, found None"),
    ],
)
def test_a_bad_problem_is_an_error_naming_pid_and_field_or_is_skipped(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    root = write(tmp_path, {"1": problem(), "2": problem(**changes)})
    with pytest.raises(QuestionError) as caught:
        scienceqa.load(root)
    assert f"{root / 'problems.json'}, pid 2: " in str(caught.value)
    assert complaint in str(caught.value)
    skip_bad = SkipBad()
    assert [question.id for question in scienceqa.load(root, skip_bad=skip_bad)] == ["1"]
    assert skip_bad.count == 1


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    incomplete = problem()
    del incomplete["subject"]
    with pytest.raises(QuestionError, match=r"pid 2: expected a field 'subject', found question, choices"):
        scienceqa.load(write(tmp_path, {"2": incomplete}))


def test_a_partial_problems_file_names_the_pid_or_counts_it(tmp_path: Path) -> None:
    root = write(tmp_path, {"1": problem()}, test=["9", "1"])
    with pytest.raises(
        QuestionError, match=r"problems\.json, pid 9: .*pid_splits\.json lists it, found none"
    ):
        scienceqa.load(root)
    skip_bad = SkipBad()
    assert len(scienceqa.load(root, skip_bad=skip_bad)) == 1
    assert skip_bad.count == 1


def test_bad_folders_and_splits_say_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="found nothing; check the path"):
        scienceqa.load(tmp_path / "absent")
    with pytest.raises(QuestionError, match=r"problems\.json does not exist; give the official file"):
        scienceqa.load(tmp_path)
    root = write(tmp_path, {"1": problem()}, train=["1"], val=[])
    with pytest.raises(
        QuestionError, match=r"pid_splits\.json: expected a split called test, found train, val"
    ):
        scienceqa.load(root)
    with pytest.raises(QuestionError, match="found none; give the official files"):
        scienceqa.load(root, "val")
    with pytest.raises(QuestionError, match="found 1 again in test"):
        scienceqa.load(write(tmp_path, {"1": problem()}, test=["1", "1"]))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{\n1", r"json: expected JSON, found an error at line 2"), ("[]", "found a list of 0")],
)
def test_a_malformed_problems_file_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    root = write(tmp_path, {"1": problem()})
    (root / "problems.json").write_text(content)
    with pytest.raises(QuestionError, match=complaint):
        scienceqa.load(root)


def test_a_flattened_file_gives_the_same_prompts_without_subject(tmp_path: Path) -> None:
    path = write_flattened(tmp_path, flattened(), flattened(pid="4", image=None, prompt="Q\nA. fox\nB. oak"))
    with_image, without = scienceqa.load(path)
    assert with_image.prompt.endswith("\nA. fox\nB. oak" + scienceqa.INSTRUCTION)
    assert with_image.images == (tmp_path / "images" / "test" / "3" / "image.png",)
    assert with_image.tags == {"IMG", "TXT"}
    assert without.tags == {"NO"}
    assert without.group == "Q"
    assert without.subset == scienceqa.UNKNOWN_SUBJECT


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pid": "1"}, "found 1 again"),
        ({"prompt": "Which?\nA. ox\nB. oak"}, "'prompt' to end with its 2 lettered choices"),
        ({"image": 5}, "'image' to be a string"),
        ({"pid": ""}, "'pid' to be a string that is not empty or an integer, found ''"),
    ],
)
def test_a_bad_flattened_line_is_named_or_skipped(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    path = write_flattened(tmp_path, flattened(pid="1"), flattened(**changes))
    with pytest.raises(QuestionError) as caught:
        scienceqa.load(path)
    assert f"{path}:2: " in str(caught.value)
    assert complaint in str(caught.value)
    skip_bad = SkipBad()
    assert len(scienceqa.load(path, skip_bad=skip_bad)) == 1
    assert skip_bad.count == 1


@needs_real_data
def test_the_flattened_test_set_has_the_published_chance_levels() -> None:
    questions = scienceqa.load(REAL / "test_llava.jsonl")
    with_image = [question for question in questions if "IMG" in question.tags]
    assert (len(questions), len(with_image)) == (4241, 2017)
    assert round(chance_level(questions), 3) == 0.400
    assert round(chance_level(with_image), 3) == 0.355
    assert round(sum(question.answer == "A" for question in questions) / len(questions), 3) == 0.401


@needs_real_data
def test_official_problems_give_llavas_own_prompts() -> None:
    skip_bad = SkipBad()
    official = scienceqa.load(REAL, skip_bad=skip_bad)
    assert len(official) + skip_bad.count == 4241
    assert {question.subset for question in official} == {
        "natural science",
        "social science",
        "language science",
    }
    llava = {question.id: question for question in scienceqa.load(REAL / "test_llava.jsonl")}
    # The fork that kept these problems spelled out four Punnett squares in their hints.
    different = {question.id for question in official if question.prompt != llava[question.id].prompt}
    assert different == {"42", "209", "600", "1714"}
    for question in official:
        assert question.images == llava[question.id].images
        assert question.gold == llava[question.id].gold
        assert question.tags > llava[question.id].tags
