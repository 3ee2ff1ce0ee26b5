"""Tables as spreadsheets, language models and trainers of other people write them: read, or refused with the remedy."""

import base64
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.own.choice_cells import choices_in_text, lettered, without_letters
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad, warn
from hipp_prune.questions.sources import load_questions

CHOICES = ["a cup", "a dog", "a tree"]
LETTERED = dict(zip("ABC", CHOICES, strict=True))
ASKED = "Is there a dog?"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    warn.cache_clear()
    return tmp_path


def read(
    home: Path, rows: list[dict[str, Any]], skip_bad: SkipBad | None = None, word: str = ""
) -> list[Question]:
    path = home / "mine.json"
    path.write_text(json.dumps(rows))
    return load_questions([f"{word}{path}"], "all", cache=home / "cache", skip_bad=skip_bad)


def code(home: Path) -> str:
    return base64.b64encode((home / "0.png").read_bytes()).decode()


def said(text: object, role: str = "user") -> dict[str, object]:
    return {"role": role, "content": text}


def heard(text: str, role: str = "human") -> dict[str, str]:
    return {"from": role, "value": text}


def parts(picture: dict[str, object], text: str = ASKED) -> list[dict[str, object]]:
    return [picture, {"type": "text", "text": text}]


@pytest.mark.parametrize(
    "row",
    [
        {"image": "0.png", "conversations": [heard(f"<image>\n{ASKED}"), heard("Yes.", "gpt")]},
        {"image": "0.png", "conversations": [heard(f"{ASKED}\n<image>"), heard("yes", "gpt")]},
        {"images": ["0.png"], "messages": [said(f"<image>{ASKED}"), said("Yes", "assistant")]},
        {"images": ["0.png"], "messages": [said(parts({"type": "image"})), said("Yes", "assistant")]},
        {"messages": [said(parts({"type": "image", "path": "0.png"})), said(parts({"type": "image"}, "Yes"), "gpt")]},
        {"messages": [said(parts({"type": "image_url", "image_url": {"url": "0.png"}})), said("Yes", "assistant")]},
        {"Messages": json.dumps([said(parts({"type": "image_url", "image_url": "0.png"})), said("Yes", "assistant")])},
        {"image": "0.png", "question": f"<|vision_start|><|image_pad|><|vision_end|>{ASKED}", "answer": True},
    ],
)  # fmt: skip
def test_a_conversation_is_a_question(row: dict[str, Any], home: Path) -> None:
    (question,) = read(home, [row])
    assert question.prompt.split("\n")[0] == ASKED
    assert (question.benchmark, question.answer, question.images) == ("yes-no", "Yes", (home / "0.png",))


def test_every_turn_is_a_question_of_its_own_and_system_messages_are_left_out(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turns = [
        said("Be brief.", "system"),
        said(ASKED),
        said("No.", "assistant"),
        said("What then?"),
        said("Sand", "assistant"),
    ]
    with caplog.at_level(logging.WARNING, "hipp_prune"):
        first, second = read(home, [{"id": 7, "image": "0.png", "messages": turns}])
    assert (first.id, second.id) == ("mine/7/1", "mine/7/2")
    assert (first.benchmark, second.benchmark, second.answer) == ("yes-no", "short-answers", "Sand")
    assert first.group == second.group
    assert "leaves out what system messages say" in caplog.text


def test_a_damaged_conversation_before_the_first_sound_one_is_refused_too(home: Path) -> None:
    sound = {"image": "0.png", "messages": [said("Is there sand?"), said("Yes", "assistant")]}
    damaged = {"image": "1.png", "messages": [said([{"type": "video", "video": "a.mp4"}])]}
    with pytest.raises(QuestionError, match="texts or pictures"):
        read(home, [damaged, sound])
    skipped = SkipBad()
    assert len(read(home, [damaged, sound], skip_bad=skipped)) == 1
    assert skipped.count == 1


def test_conversations_without_an_answer_are_prompts(home: Path) -> None:
    (question,) = read(home, [{"image": "0.png", "messages": [said("What do you see?")]}])
    assert question.is_unlabelled


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ([said("Yes", "assistant")], "turns of human or user and gpt or assistant"),
        ([said(ASKED), said(ASKED)], "turns of human or user and gpt or assistant"),
        ([said([{"type": "video", "video": "a.mp4"}])], "texts or pictures"),
        ([{"speaker": "me"}], "a turn such as"),
        ("[", "JSON"),
        ([], "a list of turns"),
        ([said([*parts({"type": "image", "image": "0.png"}), {"type": "image", "image": "0.png"}])], "2 pictures"),
        ([said("<image> or <image>: which?"), said("the first", "assistant")], "<image> inside the text, or twice"),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_refused_or_left_out(messages: object, sentence: str, home: Path) -> None:
    good = {"messages": [said("Is fire hot?"), said("yes", "assistant")]}
    with pytest.raises(QuestionError, match=r"mine\.json"):
        read(home, [good, {"image": "0.png", "messages": messages}])
    skipped = SkipBad()
    assert len(read(home, [good, {"image": "0.png", "messages": messages}], skipped)) == 1
    assert [reason for reason in skipped.reasons if sentence in reason], skipped.reasons
    assert skipped.count == 1


def test_a_mark_without_a_picture_is_refused(home: Path) -> None:
    with pytest.raises(QuestionError, match="since the question holds its mark, found <image> and none"):
        read(home, [{"question": f"<image>\n{ASKED}", "answer": "yes"}])


@pytest.mark.parametrize(
    "choices",
    [
        "a cup|a dog|a tree", json.dumps(CHOICES), repr(CHOICES), "a cup\na dog\na tree", LETTERED,
        "A. a cup\nB. a dog\nC. a tree", "(A) a cup|(B) a dog|(C) a tree", repr(LETTERED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("answer", ["B", "(b)", "a dog", "B. a dog", "b) a dog"])
def test_choices_are_read_however_they_are_written(choices: object, answer: str, home: Path) -> None:
    (question,) = read(home, [{"question": "What?", "choices": choices, "answer": answer}])
    assert question.prompt.startswith("What?\nA. a cup\nB. a dog\nC. a tree\n")
    assert question.answer == "B"


@pytest.mark.parametrize(
    "choices", ["['a cup' 'a dog']", "a cup; a dog", {"cup": 1, "dog": 2}, "[a cup, a dog]"]
)
def test_choices_that_could_be_one_are_refused(choices: object, home: Path) -> None:
    with pytest.raises(QuestionError, match="expected choices"):
        read(home, [{"question": "What?", "choices": choices, "answer": "A"}])


@pytest.mark.parametrize("names", ["A B C", "a b c", "choice_a choice_b choice_c", "optionA optionB optionC"])
def test_choices_stand_in_columns_with_letters(names: str, home: Path) -> None:
    row = dict(zip(names.split(), CHOICES, strict=True))
    (question,) = read(home, [{"question": "What?", **row, "answer": "C"}])
    assert (question.benchmark, question.answer) == ("choices", "C")


def test_a_question_may_list_its_choices_itself(home: Path) -> None:
    text = "What?\nA. a cup\nB. a dog\nAnswer with the option's letter from the given choices directly."
    (question,) = read(home, [{"question": text, "answer": "B"}])
    assert (question.prompt, question.answers) == (text, ("A", "B"))
    assert choices_in_text("A. a cup\nB. a dog")[1] == []
    assert choices_in_text("What?\nB. a cup\nC. a dog")[1] == []
    assert without_letters(["A. a cup", "a dog"]) == ["A. a cup", "a dog"]
    assert lettered("a dog") is None


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"options": CHOICES, "answer": "A"}], r"mine\.json,columns=choices:options"),
        ([{"choice1": "x", "choice2": "y", "answer": 1}], "choice1, choice2; rename these to A, B"),
        ([{"answer": "Y"}, {"answer": "n"}], "found only n and y; write Yes and No"),
        ([{"answer": "1.0"}, {"answer": "0.0"}], "found only 0.0 and 1.0; write Yes and No"),
        ([{"answer": "Yes"}, {"answer": "0"}], "found only 0 and yes; write Yes and No"),
        ([{"answer": "A"}, {"answer": "(c)"}], r"found none beside \(C\), A; put them into a column choices"),
    ],
)
def test_answers_and_columns_that_could_be_misread_are_refused(
    rows: list[dict[str, Any]], sentence: str, home: Path
) -> None:
    asked = [{"question": f"What is {number}?", **row} for number, row in enumerate(rows)]
    with pytest.raises(QuestionError, match=sentence):
        read(home, asked)


def test_counts_and_words_stay_short_answers(home: Path) -> None:
    answers = ["yes", "0", "red"]
    rows = [{"question": f"What is {number}?", "answer": answer} for number, answer in enumerate(answers)]
    assert [each.benchmark for each in read(home, rows)] == ["yes-no", "short-answers", "short-answers"]
    assert [each.answer for each in read(home, rows[1:], word="short-answers:")] == ["0", "red"]


def test_sentences_are_read_for_their_first_word_or_warned_of(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {"question": "Is it?", "answer": "Yes, there is a dog."},
        {"question": "What?", "answer": "It is a dog that runs over a green meadow."},
    ]
    with caplog.at_level(logging.WARNING, "hipp_prune"):
        first, second = read(home, rows)
    assert (first.benchmark, first.answer, second.benchmark) == ("yes-no", "Yes", "short-answers")
    assert "1 answers go on after yes or no" in caplog.text
    assert "1 of 1 free answers have more than 8 words" in caplog.text


@pytest.mark.parametrize(
    ("answer", "benchmark", "warned"),
    [
        ("YES!", "yes-no", None),
        ('"no"', "yes-no", None),
        ("Yes. There is one.", "yes-no", "go on after"),
        ("No – it is a cat", "yes-no", "go on after"),
        ("yes; two of them", "yes-no", "go on after"),
        ("No. 7", "short-answers", None),
        ("no-one", "short-answers", None),
        ("no parking", "short-answers", "begin with yes or no"),
    ],
)
def test_yes_and_no_are_heard_before_a_stop_and_not_in_other_words(
    answer: str, benchmark: str, warned: str | None, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "hipp_prune"):
        (question,) = read(home, [{"question": "What is it?", "answer": answer}])
    assert question.benchmark == benchmark
    assert (warned is None) == (not caplog.text)
    assert warned is None or warned in caplog.text


def test_choices_under_another_name_are_not_passed_over(home: Path) -> None:
    rows = [
        {"question": f"What is {number}?", "answer": "a dog", "Möglichkeiten": "a cup | a dog", "tags": "a|b"}
        for number in range(2)
    ]
    with pytest.raises(QuestionError, match="columns=choices:Möglichkeiten"):
        read(home, rows)
    found = read(home, [{**row, "Möglichkeiten": "a cup | a hog"} for row in rows])
    assert {each.benchmark for each in found} == {"short-answers"}


@pytest.mark.parametrize("choices", [[], "[]", None, ""])
def test_no_choices_are_none(choices: object, home: Path) -> None:
    (question,) = read(home, [{"question": ASKED, "answer": "yes", "choices": choices}])
    assert question.benchmark == "yes-no"


def test_the_one_row_without_a_picture_is_named(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"question": f"Is it {n}?", "answer": "yes", "image": "0.png" if n else ""} for n in range(12)]
    with caplog.at_level(logging.WARNING, "hipp_prune"):
        read(home, rows)
    assert "mine.json:1; fill it in" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "hipp_prune"):
        read(home, rows[:5])  # too many to be a slip
    assert not caplog.text


def test_yes_and_no_of_another_language_are_asked_about(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"question": f"Is it {n}?", "answer": ("Ja", "nein.")[n % 2]} for n in range(12)]
    with caplog.at_level(logging.WARNING, "hipp_prune"):
        read(home, rows)
    assert "all 12 short answers are 'ja' or 'nein'; write Yes and No" in caplog.text
    assert "ja|nein" in caplog.text


def test_pictures_come_as_text_and_as_addresses_of_files(home: Path) -> None:
    noise = io.BytesIO()
    Image.effect_noise((16, 16), 60).save(noise, "jpeg")
    plain = base64.b64encode(noise.getvalue()).decode()
    cells = [f"data:image/png;base64,{code(home)}", plain, (home / "0.png").as_uri()]
    rows = [{"image": cell, "question": ASKED, "answer": "yes"} for cell in cells]
    first, second, third = (each.images[0] for each in read(home, rows))
    assert first is not None
    assert first.read_bytes() == (home / "0.png").read_bytes()
    assert second is not None
    assert second.read_bytes() == noise.getvalue()
    assert third == home / "0.png"


def test_a_picture_of_a_phone_is_named_as_what_it_is(home: Path) -> None:
    (home / "1.HEIC").write_bytes(b"ftypheic")
    with pytest.raises(ImageError, match="found one in HEIC; convert it to JPEG"):
        read(home, [{"image": "1.HEIC", "question": ASKED, "answer": "yes"}])


def test_files_of_excel_and_without_a_header(home: Path) -> None:
    path = home / "mine.csv"
    path.write_text("sep=;\r\nquestion;answer\r\nIs it, or not?;yes\r\nIs it so;\r\n", newline="")
    with pytest.raises(QuestionError, match=r"mine\.csv:4: expected an answer"):
        load_questions([str(path)], "all", cache=home)
    path.write_text("0.png,Is it?,yes\n0.png,Is it so?,no\n")
    with pytest.raises(QuestionError, match="write image,question,answer above it"):
        load_questions([str(path)], "all", cache=home)


def test_rows_below_one_object_are_refused(home: Path) -> None:
    (home / "mine.json").write_text(json.dumps({"data": [{"question": "Is it?", "answer": "yes"}] * 2}))
    with pytest.raises(QuestionError, match="save what stands under data alone"):
        load_questions([str(home / "mine.json")], "all", cache=home)
