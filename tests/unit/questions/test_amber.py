"""AMBER's yes/no questions: its files, its strict reading of answers, and its official numbers by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.benchmarks import amber
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.yes_no import YesNoCounts
from hipp_prune.stages.evaluate import score_answers

KINDS = (
    ("discriminative-hallucination", "no"),
    ("discriminative-hallucination", "no"),
    ("discriminative-attribute-state", "yes"),
    ("discriminative-attribute-number", "no"),
    ("discriminative-attribute-action", "yes"),
    ("discriminative-relation", "yes"),
    ("relation", "no"),
)
"""Of the questions 2 to 8; 1 is a description."""


def queries() -> list[dict[str, Any]]:
    return [
        {"id": number, "image": f"AMBER_{number % 3}.jpg", "query": f"Is number {number} in this image?"}
        for number in range(2, 9)
    ]


def annotations() -> list[dict[str, Any]]:
    described = {"id": 1, "type": "generative", "truth": ["tree"], "hallu": ["dog"]}
    return [
        described,
        *({"id": n + 2, "type": kind, "truth": truth} for n, (kind, truth) in enumerate(KINDS)),
    ]


def write(folder: Path, asked: list[dict[str, Any]], annotated: list[dict[str, Any]]) -> Path:
    (folder / "query").mkdir(exist_ok=True)
    (folder / "image").mkdir(exist_ok=True)
    (folder / "query" / "query_discriminative.json").write_text(json.dumps(asked, indent=4))
    (folder / "annotations.json").write_text(json.dumps(annotated, indent=4))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path, queries(), annotations())


def test_a_query_becomes_a_question(data: Path) -> None:
    questions = amber.load(data)
    assert [question.id for question in questions] == [f"amber/{number}" for number in range(2, 9)]
    question = questions[0]
    assert question.prompt == "Is number 2 in this image?\nAnswer the question using a single word or phrase."
    assert question.images == (data / "image" / "AMBER_2.jpg",)
    assert question.group == str(question.images[0])
    assert question.answers == ("Yes", "No")
    assert [question.answer for question in questions] == ["No", "No", "Yes", "No", "Yes", "Yes", "No"]


def test_dimensions_are_subsets_and_kinds_of_attribute_tags(data: Path) -> None:
    assert [(question.subset, *question.tags) for question in amber.load(data)] == [
        ("existence",), ("existence",), ("attribute", "state"), ("attribute", "number"), ("attribute", "action"),
        ("relation",), ("relation",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "annotation", "complaint"),
    [
        ({"id": "8"}, {}, "'id' to be an integer, found '8'"),
        ({"id": 9}, {}, "expected an annotation of id 9 in annotations.json, found none"),
        ({"id": 7}, {}, "expected every id once, found 7 again"),
        ({"query": None}, {}, "'query' to be a string, found None"),
        (
            {},
            {"type": "generative"},
            "'type' to be one of discriminative-hallucination, .*found 'generative'",
        ),
        ({}, {"truth": "maybe"}, "'truth' to be yes or no, found 'maybe'"),
        ({}, {"truth": ["no"]}, "'truth' to be yes or no, found a list of 1"),
    ],
)
def test_a_bad_record_is_named_or_left_out(
    tmp_path: Path, query: dict[str, Any], annotation: dict[str, Any], complaint: str
) -> None:
    asked, annotated = queries(), annotations()
    asked[-1] |= query
    annotated[-1] |= annotation
    data = write(tmp_path, asked, annotated)
    with pytest.raises(QuestionError, match=complaint):
        amber.load(data)
    skip_bad = SkipBad()
    assert len(amber.load(data, skip_bad=skip_bad)) == 6
    assert skip_bad.count == 1


def test_missing_files_and_pictures_are_named(tmp_path: Path) -> None:
    data = write(tmp_path, queries(), annotations())
    (data / "image").rmdir()
    with pytest.raises(
        ImageError, match=r"expected AMBER's pictures in one of .*as in amber:PATH,images=DIR"
    ):
        amber.load(data)
    assert len(amber.load(data, need_images=False)) == 7
    (data / "annotations.json").unlink()
    with pytest.raises(QuestionError, match=r"annotations\.json does not exist; check the path"):
        amber.load(data, need_images=False)


@pytest.mark.parametrize(
    ("text", "official", "vlmevalkit"),
    [("Yes", 0, 0), ("No", 1, 1), ("yes", None, 0), ("No.", None, 1), (" Yes", None, 0), ("", None, None)],
)
def test_officially_an_answer_is_yes_or_no_to_the_letter(
    data: Path, text: str, official: int | None, vlmevalkit: int | None
) -> None:
    question = amber.load(data)[0]
    assert amber.parse(question, text) == official
    assert amber.parse(question, text, "vlmevalkit") == vlmevalkit


GIVEN = ("No", "Yes", "Yes", "No", "No", "yes", "No")
"""Existence: one of two. Attribute: two of three. Relation: one of two, the other not to the letter."""


def scored(questions: list[Question], given: tuple[str, ...] = GIVEN) -> amber.AmberScore:
    read = [amber.parse(question, text) for question, text in zip(questions, given, strict=True)]
    return amber.score(questions, read)


def test_official_numbers_by_hand(data: Path) -> None:
    """No is positive. All: labels no 4, said No of these 3, said No 4, right 4 of 7 (3 No, 1 Yes)."""
    found = scored(amber.load(data))
    official = found.official
    assert list(official) == ["all", "existence", "attribute", "state", "number", "action", "relation"]
    # 4/7, 3/4, 3/4; 2 · .75 · .75 / 1.5001
    assert official["all"] == amber.OfficialMetrics(accuracy=57.1, precision=75.0, recall=75.0, f1=75.0)
    # 1/2 (.499750… → 50.0); 1/1.001 → 99.9; 1/2; 2 · .999 · .5 / (1.499 + .001) = .666
    assert official["existence"] == amber.OfficialMetrics(accuracy=50.0, precision=99.9, recall=50.0, f1=66.6)
    # 2/3 (2/3.001 = .66644… → 66.6); No said 2, of which 1 rightly (1/2.001 → 50.0); 1/1.001; 2 · .5 · .999 / 1.4991
    assert official["attribute"] == amber.OfficialMetrics(accuracy=66.6, precision=50.0, recall=99.9, f1=66.6)
    # Said No wrongly, and no label is no.
    assert official["action"] == amber.OfficialMetrics(accuracy=0.0, precision=0.0, recall=0.0, f1=0.0)
    # 1/2.001 → 50.0; 1/1.001 twice; 2 · .999² / 1.9981 = .99895… → 99.9
    assert official["relation"] == amber.OfficialMetrics(accuracy=50.0, precision=99.9, recall=99.9, f1=99.9)


def test_the_number_to_compare_by_is_balanced(data: Path) -> None:
    found = scored(amber.load(data))
    assert found.parts["all"] == YesNoCounts(tp=1, fp=1, tn=3, fn=1, failed_yes=1)
    assert found.accuracy == pytest.approx((1 / 3 + 3 / 4) / 2)
    assert found.chance == 0.5
    assert found.interval[0] <= found.accuracy <= found.interval[1]
    assert found.remark == "neither Yes nor No, so wrong: 1 answers"


@pytest.mark.parametrize("said", amber.YES_NO)
def test_who_always_says_the_same_scores_chance(data: Path, said: str) -> None:
    assert scored(amber.load(data), (said,) * 7).accuracy == 0.5


def test_rows_and_columns(data: Path) -> None:
    found = scored(amber.load(data))
    header, first, *_ = found.rows()
    assert header == ("AMBER", "n", "acc.", "prec. No", "recall No", "F1 No", "bal.", "95%")
    assert first[:7] == ("all", "7", "57.1", "75.0", "75.0", "75.0", "54.2")
    columns = {name: text for name, _, text in found.columns()}
    assert list(columns) == [
        "balanced accuracy", "chance", "accuracy", "F1 of No", "existence", "attribute", "state", "number", "action",
        "relation", "n",
    ]  # fmt: skip
    assert (columns["accuracy"], columns["existence"], columns["chance"]) == ("57.1", "50.0", "50.0")


def test_parts_that_were_not_asked_are_absent(data: Path) -> None:
    found = amber.score(amber.load(data)[:2], [1, 1])
    assert list(found.parts) == ["all", "existence"]
    assert found.accuracy == 1.0


def test_the_score_survives_json(data: Path) -> None:
    found = scored(amber.load(data))
    assert amber.restore(json.loads(json.dumps(found.to_json())), "amber") == found


def test_official_response_files_are_scored(data: Path) -> None:
    path = data / "responses.json"
    path.write_text(json.dumps([{"id": n + 2, "response": text} for n, text in enumerate(GIVEN)], indent=2))
    assert score_answers(path, [f"amber:{data}"]).scores["amber"] == scored(amber.load(data))
