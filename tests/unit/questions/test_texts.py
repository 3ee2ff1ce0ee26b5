"""General text: read, checked, and cut into windows by the seed."""

from pathlib import Path

import pytest

from hipp_prune.errors import QuestionError
from hipp_prune.questions.texts import draw_windows, fingerprint_text, read_general_text

TEXT = " ".join(f"word{index}" for index in range(3000))


def test_files_of_both_kinds_are_read_in_order(tmp_path: Path) -> None:
    plain, lines = tmp_path / "a.txt", tmp_path / "b.jsonl"
    plain.write_text("One text.\n", encoding="utf-8")
    lines.write_text('{"text": "Two", "id": 1}\n\n{"text": "Thrée"}\n', encoding="utf-8")
    assert read_general_text([lines, plain]) == "Two\n\nThrée\n\nOne text.\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b" \n ", "expected text, found none"),
        ("a.jsonl", b'{"text": " "}', "expected text, found none"),
        ("a.jsonl", b"", "found an empty file"),
        ("a.jsonl", b'{"texts": "x"}', "a.jsonl:1: "),
        ("a.txt", b"\x89PNG\r\n", "expected UTF-8 text"),
        ("a.txt", b"text\0more", "found a NUL byte"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(QuestionError, match=reason):
        read_general_text([path])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="does not exist"):
        read_general_text([tmp_path / "none.txt"])


def test_windows_are_drawn_by_the_seed_and_cover_the_text() -> None:
    windows = draw_windows(TEXT, 5, seed=1)
    assert windows == draw_windows(TEXT, 5, seed=1) != draw_windows(TEXT, 5, seed=2)
    places = [TEXT.index(window) for window in windows]
    stretch = len(TEXT) / 5
    assert [int(place // stretch) for place in places] == [0, 1, 2, 3, 4]
    assert all(900 < len(window) <= 1024 for window in windows)
    assert all(window.startswith("word") for window in windows)


def test_no_window_is_drawn_twice() -> None:
    assert draw_windows("A short text.", 8, seed=0) == ("A short text.",)
    assert len(draw_windows(TEXT, 10_000, seed=0)) == len(TEXT) // 1024
    assert draw_windows("x" * 2000, 1, seed=0)[0] == "x" * 1024


def test_a_fingerprint_says_what_was_read() -> None:
    assert fingerprint_text("a") != fingerprint_text("b")
    assert len(fingerprint_text("a")) == 16
