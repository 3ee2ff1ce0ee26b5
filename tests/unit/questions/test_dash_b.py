"""DASH-B: its lists, its reading of answers, and its official rates by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.benchmarks import dash_b

NEG = {"coco": {"bed": ["1.png", "2.png"]}, "objects_365_100": {"Belt": ["3.png"]}}
POS = {"coco": {"bed": ["1.png"]}}


def write(folder: Path, neg: Any = NEG, pos: Any = POS) -> Path:
    (folder / "dash_benchmark_neg.json").write_text(json.dumps(neg))
    (folder / "dash_benchmark_pos.json").write_text(json.dumps(pos))
    return folder


def test_a_listed_picture_becomes_a_question(tmp_path: Path) -> None:
    questions = dash_b.load(write(tmp_path))
    assert [question.answer for question in questions] == ["No", "No", "No", "Yes"]
    assert [question.subset for question in questions] == ["coco", "coco", "objects_365_100", "coco"]
    assert questions[2].images == (tmp_path / "neg" / "objects_365_100" / "Belt" / "3.png",)
    assert questions[2].prompt == "Can you see a Belt in this image? Please answer only with yes or no."
    assert next(iter(dash_b.aliases(questions))) == "neg/coco/bed/1.png"


@pytest.mark.parametrize(
    ("neg", "complaint"),
    [
        ({"coco": ["1.png"]}, r"'coco' to be an object"),
        ({"coco": {"bed": [1]}}, r"to be a string, found 1"),
        ({"coco": {"bed": ["1.png", "1.png"]}}, r"found dash_b/neg/coco/bed/1\.png again"),
        ({}, "found empty lists"),
    ],
)
def test_a_list_of_another_form_is_refused(tmp_path: Path, neg: Any, complaint: str) -> None:
    with pytest.raises(QuestionError, match=complaint):
        dash_b.load(write(tmp_path, neg, {}))


def test_pictures_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    question = dash_b.load(write(tmp_path), tmp_path / "pictures")[0]
    assert question.images == (tmp_path / "pictures" / "neg" / "coco" / "bed" / "1.png",)
    with pytest.raises(ImageError, match="check images="):
        dash_b.load(tmp_path, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "read"), [("Yes.", 0), ("I see no bed", 1), ("no, yes", 0), ("A knot", 1), ("", None)]
)
def test_a_text_with_yes_in_it_is_a_yes(tmp_path: Path, text: str, read: int | None) -> None:
    assert dash_b.parse(dash_b.load(write(tmp_path))[0], text) == read


def test_rates_and_their_harmonic_mean(tmp_path: Path) -> None:
    questions = dash_b.load(write(tmp_path))
    score = dash_b.score(questions, [1, 0, None, 0])
    rates = dash_b.OfficialRates.of(score.parts["all"])
    assert (rates.acc, rates.tnr, rates.tpr) == (0.5, pytest.approx(1 / 3), 1.0)
    assert rates.harmonic_mean == pytest.approx(0.5)
    assert score.accuracy == pytest.approx(2 / 3)
    assert list(score.parts) == ["all", "coco", "objects_365_100"]
    assert dash_b.OfficialRates.of(score.parts["objects_365_100"]).harmonic_mean == 0
