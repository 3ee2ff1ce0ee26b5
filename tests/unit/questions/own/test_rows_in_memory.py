"""Rows in memory are questions as those of a file are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hipp_prune.errors import ImageError, InputError, QuestionError
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.own.memory import load_rows
from hipp_prune.questions.question import pictures_of
from hipp_prune.questions.records import SkipBad
from hipp_prune.stages.loading import draw_questions, given_questions, source_names


def rows(number: int = 12) -> list[dict[str, Any]]:
    return [
        {
            "image": Image.new("RGB", (4, 4), (each, 0, 0)),
            "question": f"Is there a cup in {each}?",
            "answer": ("yes", "no")[each % 2],
        }
        for each in range(number)
    ]


def test_every_split_is_drawn_and_pictures_are_the_same_in_any_cache(tmp_path: Path) -> None:
    splits = ("calibration", "search", "validation", "recovery", "test")
    parts = [draw_questions(rows(), split, cache=tmp_path) for split in splits]  # type: ignore[arg-type]
    together = draw_questions(rows(), "all", cache=tmp_path / "other")
    assert all(parts)
    assert sorted(each.id for part in parts for each in part) == sorted(each.id for each in together)
    names = {path.name for part in parts for path in pictures_of(part)}
    assert names == {path.name for path in pictures_of(together)}
    assert len(names) == 12
    assert source_names(rows()) == ("12 questions in memory",)


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "L", "P", "I;16", "1", "LA"])
def test_a_picture_of_any_mode_is_kept_as_it_looks(mode: str, tmp_path: Path) -> None:
    picture = (
        Image.fromarray(np.full((4, 4), 2**16 - 1, dtype=np.uint16))
        if mode == "I;16"
        else Image.new("RGB", (4, 4), "white").convert(mode)
    )
    [question] = load_rows([{"image": picture, "question": "Is it?"}], Loading(options={}, cache=tmp_path))
    assert question.images
    assert Image.open(question.images[0]).getpixel((0, 0)) == (255, 255, 255)


def test_paths_and_bytes_are_pictures_too(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    how = Loading(options={}, cache=tmp_path / "cache")
    for cell in (path, str(path), path.read_bytes()):
        [question] = load_rows([{"image": cell, "question": "Is it?", "answer": True}], how)
        assert question.images
        assert question.images[0].read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        ({"image": "missing.png", "question": "Is it?"}, ImageError, "questions[0]: expected a picture at"),
        ({"image": 7, "question": "Is it?"}, QuestionError, "expected a picture"),
        ({"photo": Image.new("RGB", (4, 4)), "question": "Is it?"}, QuestionError, "columns=image:photo"),
        ({"question": "Is it?", 3: "x"}, QuestionError, "expected names of columns, found 3"),
        ({"answer": "yes"}, QuestionError, "expected a column question"),
    ],
)
def test_what_is_wrong_is_said(row: Any, error: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(error) as caught:
        load_rows([row], Loading(options={}, cache=tmp_path))
    assert said in str(caught.value)


def test_bad_rows_are_left_out_where_that_is_wanted(tmp_path: Path) -> None:
    skipped = SkipBad()
    bad = {"image": "missing.png", "question": "Is it?", "answer": "yes"}
    found = draw_questions([*rows(), bad], "all", cache=tmp_path, skip_bad=skipped)
    assert len(found) == 12
    assert skipped.count == 1


@pytest.mark.parametrize("wrong", ["toyworld", [1, 2], ["toyworld", {"question": "Is it?"}], [None]])
def test_what_is_no_list_of_one_kind_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="expected questions as a list of sources, of Question, or of rows"):
        given_questions(wrong)
