"""A cell may show several pictures, in the order in which they are asked about; a video is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hipp_prune.errors import QuestionError
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.own.loading import load_own
from hipp_prune.questions.own.memory import load_rows
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad

ASKED = {"question": "Are they alike?", "answer": "no"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png", "c|d.png")):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / name)
    return tmp_path


def load(home: Path, *rows: dict[str, Any], skip_bad: SkipBad | None = None) -> list[Question]:
    path = home / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_own(path, Loading(options={}, cache=home / "cache", skip_bad=skip_bad))


@pytest.mark.parametrize("cell", [["b.png", "a.png"], "b.png|a.png", "b.png | a.png", '["b.png", "a.png"]'])
def test_a_list_keeps_its_order(home: Path, cell: object) -> None:
    (question,) = load(home, {**ASKED, "image": cell})
    assert question.images == (home / "b.png", home / "a.png")
    assert question.group == f"{home / 'b.png'}|{home / 'a.png'}"


def test_a_cell_of_a_spreadsheet_lists_paths_between_bars(home: Path) -> None:
    path = home / "mine.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", *ASKED), ("a.png|b.png", *ASKED.values())])
    (question,) = load_own(path, Loading(options={}, cache=home / "cache"))
    assert question.images == (home / "a.png", home / "b.png")


def test_a_file_with_a_bar_in_its_name_is_one_picture(home: Path) -> None:
    (question,) = load(home, {**ASKED, "image": "c|d.png"})
    assert question.images == (home / "c|d.png",)


def test_pictures_in_memory_become_a_file_each(home: Path) -> None:
    pictures = [Image.open(home / name) for name in ("a.png", "b.png")]
    (question,) = load_rows([{**ASKED, "image": pictures}], Loading(options={}, cache=home / "cache"))
    first, second = map(Image.open, question.images)
    assert (first.getpixel((0, 0)), second.getpixel((0, 0))) == ((0, 0, 0), (1, 0, 0))


def test_a_column_of_lists_under_another_name_is_offered(home: Path) -> None:
    with pytest.raises(QuestionError, match=r"columns=image:images"):
        load(home, {**ASKED, "images": ["a.png", "b.png"]})


def test_a_gap_in_a_list_is_refused(home: Path) -> None:
    with pytest.raises(QuestionError, match="expected a picture in every place of the list"):
        load(home, {**ASKED, "image": ["a.png", ""]})


def test_groups_hold_for_every_picture(home: Path) -> None:
    rows = [
        {**ASKED, "image": image, "group": group} for image, group in (("a.png|b.png", "x"), ("b.png", "y"))
    ]
    with pytest.raises(QuestionError, match="questions about one picture in one group, found 'y' and 'x'"):
        load(home, *rows)
    shared = load(home, *({**ASKED, "image": image} for image in ("a.png|b.png", "b.png")))
    assert [len(question.images) for question in shared] == [2, 1]


@pytest.mark.parametrize(
    "row",
    [
        {"image": "clip.mp4"},
        {"image": ["a.png", "clip.MOV"]},
        {"video": "a.gif"},
        {"image": "a.png", "question": "<video>\nDoes it move?"},
        {"image": "a.png", "question": "Does it move? <|video_pad|>"},
    ],
    ids=str,
)
def test_videos_are_refused_and_may_be_skipped(home: Path, row: dict[str, Any]) -> None:
    with pytest.raises(
        QuestionError, match=r"expected pictures, of a video a list of some of its frames, found .*vid"
    ):
        load(home, {**ASKED, **row})
    skipped = SkipBad()
    assert len(load(home, {**ASKED, **row}, {**ASKED, "image": "a.png", "video": ""}, skip_bad=skipped)) == 1
    assert skipped.count == 1
