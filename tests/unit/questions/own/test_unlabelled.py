"""Pictures and prompts that nobody has answered."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hipp_prune.errors import QuestionError
from hipp_prune.questions.benchmarks import asked_at_last
from hipp_prune.questions.own.photos import PROMPT
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.survey import survey


def load(spec: object, tmp_path: Path, skip_bad: SkipBad | None = None) -> list[Question]:
    return load_questions([str(spec)], "all", cache=tmp_path / "cache", skip_bad=skip_bad)


def table(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


@pytest.mark.parametrize("answers", [({}, {}), ({"answer": ""}, {"answer": None}), ({"answer": " "}, {})])
def test_rows_without_any_answer_are_prompts(answers: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    path = table(
        tmp_path,
        {"question": "What is it?", "image": "a.png", **answers[0]},
        {"question": "Which?", "choices": ["cup", "dog"], "group": 7, **answers[1]},
    )
    first, second = load(path, tmp_path)
    assert all(each.is_unlabelled and each.benchmark == "agreement" for each in (first, second))
    assert (first.id, first.prompt, first.images) == ("mine/1", "What is it?", (tmp_path / "a.png",))
    assert second.prompt.startswith("Which?\nA. cup\nB. dog\nAnswer with the option's letter")
    assert (first.group, second.group) == (str(tmp_path / "a.png"), "7")


def test_a_csv_of_prompts_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("﻿Question;answer\nWhat is love?;\n\nAnd hate?;\n", encoding="utf-8")
    assert [each.prompt for each in load(path, tmp_path)] == ["What is love?", "And hate?"]


def test_windows_paths_lead_to_pictures_below_the_table(tmp_path: Path) -> None:
    picture(tmp_path / "sea" / "a.png")
    [question] = load(table(tmp_path, {"question": "What?", "image": "sea\\a.png"}), tmp_path)
    assert question.images == (tmp_path / "sea" / "a.png",)
    with pytest.raises(
        QuestionError, match="expected the path of a picture on this computer, found one of Windows"
    ):
        load(table(tmp_path, {"question": "What?", "image": "C:\\a.png"}), tmp_path)


def test_an_answer_under_a_foreign_header_is_offered_with_the_rest(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match=r"columns=question:Frage\+answer:Antwort"):
        load(table(tmp_path, {"Frage": "Is it?", "Antwort": "yes"}), tmp_path)


@pytest.mark.parametrize(
    ("rows", "hidden"),
    [
        (["Is it?,,yes,x", "Or not?,,No,y"], True),
        (["Is it?,,yes,x", "Or not?,,,yes"], True),
        (["Is it?,,yes,x", "Or not?,,perhaps,y"], False),
        (["Is it?,,,x", "Or not?,,,y"], False),
        (["Which?,cup|dog,dog,x", "Or?,cat|car,A,y"], True),
        (["Which?,cup|dog,1,x", "Or?,cat|car,0,y"], True),
        (["Which?,cup|dog,dog,x", "Or?,cat|car,dog,y"], False),
        (["Which?,cup|dog,dog,x", "Or?,,yes,y"], True),
    ],
)
def test_answers_under_an_unknown_header_are_not_taken_for_none(
    rows: list[str], hidden: bool, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["q,choices,verdict,note", *rows]))
    if not hidden:
        assert all(each.is_unlabelled for each in load(f"{path},columns=question:q", tmp_path))
        return
    with pytest.raises(QuestionError, match="expected a column answer, found none") as refused:
        load(f"{path},columns=question:q", tmp_path)
    option = f"{path},columns=question:q+answer:verdict"
    assert f"found none, but verdict looks like it; write {option}, or remove" in str(refused.value)
    assert not any(each.is_unlabelled for each in load(option, tmp_path, SkipBad()))


def test_some_answers_are_none_at_all(tmp_path: Path) -> None:
    rows = [{"question": f"{number}?", "answer": "yes" if number < 2 else ""} for number in range(4)]
    path = table(tmp_path, *rows)
    wrong = (
        r"mine\.jsonl:3: expected an answer in every row, or in none .* found none here and in 1 of 3 others"
    )
    with pytest.raises(QuestionError, match=wrong):
        load(path, tmp_path)
    skipped = SkipBad()
    assert len(load(path, tmp_path, skipped)) == skipped.count == 2


def test_a_kind_that_is_asked_for_needs_answers(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="expected an answer in every row"):
        load(f"yes-no:{table(tmp_path, {'question': 'Is it?'})}", tmp_path)


def test_pictures_are_found_below_a_folder_whatever_their_capitals(tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    for name in ("b.JPG", "a.png", "sea/c.Jpeg", ".hidden/d.png", "._a.png"):
        picture(folder / name)
    (folder / "notes.txt").write_text("no picture")
    found = load(f"photos:{folder}", tmp_path)
    assert [each.id for each in found] == ["photos/a.png", "photos/b.JPG", "photos/sea/c.Jpeg"]
    assert {each.prompt for each in found} == {PROMPT}


@pytest.mark.parametrize("name", ["line\nbreak.png", "x" * 250 + ".png", "byte\udcff.png"])
def test_names_that_no_file_of_answers_can_hold_are_refused(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / name)
    with pytest.raises(QuestionError, match="rename it or skip it with --skip-bad"):
        load(f"photos:{tmp_path}", tmp_path)
    assert len(load(f"photos:{tmp_path}", tmp_path, SkipBad())) == 1


def test_what_is_no_folder_of_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    for spec, sentence in (
        (f"photos:{tmp_path / 'missing'}", "expected a folder with pictures, found nothing"),
        (f"photos:{tmp_path / 'notes.txt'}", "expected a folder with pictures, found a file"),
        (f"photos:{tmp_path}", "expected pictures"),
        (f"agreement:{tmp_path}", f"give photos:{tmp_path}"),
        ("photos:", "expected a path after 'photos:'"),
    ):
        with pytest.raises(QuestionError) as caught:
            load(spec, tmp_path)
        assert sentence in str(caught.value)


def test_a_folder_called_photos_may_hold_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos/q.csv").write_text("question,answer\nIs it?,yes\n")
    assert [each.benchmark for each in load("photos", tmp_path)] == ["yes-no"]


def test_pictures_without_labels_measure_robustness_too(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png")
    photos = load(f"photos:{tmp_path}", tmp_path)
    assert [each.name for each in asked_at_last(photos)] == ["agreement", "agreement-objects"]
    assert not any("measures" in each for each in survey({"search": photos, "test": photos}).warnings)
    prompts = load(table(tmp_path, {"question": "What is love?"}), tmp_path)
    said = survey({"search": prompts, "test": prompts}).warnings
    assert any("no question measures robustness" in each for each in said)


def test_pictures_that_nothing_reads_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"")
    with pytest.raises(
        QuestionError, match=r"found a picture in HEIC, such as 'IMG_1.HEIC'; convert it to JPEG"
    ):
        load(f"photos:{tmp_path}", tmp_path)
    (tmp_path / "sea").mkdir()
    (tmp_path / "sea" / "IMG_2.heif").write_bytes(b"")
    picture(tmp_path / "a.png")
    for _ in range(2):
        assert len(load(f"photos:{tmp_path}", tmp_path)) == 1
    [said] = caplog.messages
    assert said == (
        f"warning: {tmp_path}: leaves out 2 pictures in HEIC, HEIF, such as 'IMG_1.HEIC'; convert them to JPEG"
    )


@pytest.mark.parametrize("spec", ["photos:{}", "{}/mine.jsonl", "yes-no:{}/mine.jsonl"])
def test_pictures_that_exif_would_turn_are_counted(
    spec: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, orientation in {"a": None, "b": 1, "c": 6, "d": 3}.items():
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        Image.new("RGB", (16, 8)).save(tmp_path / f"{name}.jpg", exif=exif)
    picture(tmp_path / "e.png")
    table(
        tmp_path,
        *({"question": "Is it?", "image": f"{name}.jpg", "answer": "yes"} for name in "abcd"),
        {"question": "Is it?", "image": "e.png", "answer": "no"},
    )
    load(spec.format(tmp_path), tmp_path)
    [said] = caplog.messages
    assert (
        f"2 of 5 pictures carry an EXIF rotation, which is not applied, such as {tmp_path / 'c.jpg'};" in said
    )
