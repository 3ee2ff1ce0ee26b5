"""Files of the same bytes are one picture: counted once, in one split; and a folder is listed once."""

from collections import Counter
from pathlib import Path

import pytest

from hipp_prune.errors import QuestionError
from hipp_prune.questions.copies import first_of_copies
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions, load_splits
from hipp_prune.questions.survey import survey
from tests.tiny import tiny_image


def _table(folder: Path, names: list[str]) -> str:
    answers = ("no", "yes")
    rows = [f"{name},Is there a cup at {place}?,{answers[place % 2]}" for place, name in enumerate(names)]
    (folder / "mine.csv").write_text("\n".join(["image,question,answer", *rows]) + "\n")
    return str(folder / "mine.csv")


def test_copies_count_as_one_picture_and_are_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(6):
        tiny_image(0).save(tmp_path / f"{number}.png")
    tiny_image(1).save(tmp_path / "other.png")
    source = _table(tmp_path, [*(f"{number}.png" for number in range(6)), "other.png"])
    asked = load_questions([source], "all", cache=tmp_path / "cache")
    (counted,) = survey({"all": asked}).counts
    assert (counted.questions, counted.pictures) == (7, 2)
    assert len({question.group for question in asked}) == 2
    with pytest.raises(QuestionError, match=r"about 2 pictures \(or groups\).* about 3 more"):
        load_splits([source], cache=tmp_path / "cache")
    (warned,) = [record.message for record in caplog.records if "copies" in record.message]
    assert "6 files are copies of 1 picture, such as '0.png' and '1.png'" in warned


def test_no_split_shares_bytes_with_another(tmp_path: Path) -> None:
    names = []
    for number in range(60):
        names.append(f"{number}.png")
        tiny_image(number // 3).save(tmp_path / names[-1])
    source = _table(tmp_path, names)
    splits = load_splits([source], cache=tmp_path / "cache")
    seen = Counter(
        content
        for members in splits.values()
        for content in {path.read_bytes() for question in members for path in question.images}
    )
    assert len(seen) == 20
    assert set(seen.values()) == {1}
    assert sum(row.pictures for row in survey(splits).counts) == 20


def test_a_file_that_changes_is_read_again_and_one_that_is_missing_stands_for_itself(tmp_path: Path) -> None:
    first, second, gone = (tmp_path / name for name in ("a", "b", "gone"))
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    assert first_of_copies([gone, first, second]) == {gone: gone, first: first, second: first}
    second.write_bytes(b"two")
    assert first_of_copies([gone, first, second])[second] == second


def test_a_folder_is_listed_once_however_many_pictures_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_image(0).save(tmp_path / "there.png")
    source = _table(
        tmp_path, ["there.png", *(f"gone{number}.jpg" for number in range(30)), "There.PNG", "there"]
    )
    listed = Counter[Path]()
    usual = Path.iterdir

    def counted(path: Path) -> object:
        listed[path] += 1
        return usual(path)

    monkeypatch.setattr(Path, "iterdir", counted)
    left_out = SkipBad()
    assert len(load_questions([source], "all", cache=tmp_path / "cache", skip_bad=left_out)) == 1
    assert listed[tmp_path] == 1
    assert left_out.count == 32
    assert "found none" in left_out.reasons[0]
    assert all(f"{tmp_path / 'there.png'} instead" in reason for reason in left_out.reasons[-2:])
