"""Every form of a table, and what is said instead of those that are none."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.questions.own import data_sets
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from tests.contract.tiny_benchmarks import write_lines

ROWS: list[dict[str, Any]] = [
    {"image": "0.png", "question": "Is there a cup?", "answer": "yes"},
    {"image": "1.png", "question": "What is it?", "answer": "B", "choices": ["cup", "dog"]},
    {"image": None, "question": "Is fire cold?", "answer": "No"},
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (number, 0, 0)).save(file, "png")
    return file.getvalue()


def load(spec: object, tmp_path: Path, skip_bad: SkipBad | None = None) -> list[Question]:
    return load_questions([str(spec)], "all", cache=tmp_path / "cache", skip_bad=skip_bad)


def said(questions: list[Question]) -> list[tuple[str, str | None, str]]:
    """Benchmark, bytes of the picture as a colour, and answer."""
    colours = [
        None if not each.images else str(Image.open(each.images[0]).getpixel((0, 0))) for each in questions
    ]
    return [(each.benchmark, colour, each.answer) for each, colour in zip(questions, colours, strict=True)]


EXPECTED = [("yes-no", "(0, 0, 0)", "Yes"), ("choices", "(1, 0, 0)", "B"), ("yes-no", None, "No")]


def csv_text(separator: str, bars: str = "cup|dog") -> str:
    lines = [
        "Image,Question,Answer,choices",
        "0.png,Is there a cup?,yes,",
        f"1.png,What is it?,B,{bars}",
        "",
        ",Is fire cold?,No,",
    ]
    return "\n".join(line.replace(",", separator) for line in lines)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.csv", csv_text(",")),
        ("mine.csv", csv_text(";")),
        ("mine.tsv", csv_text("\t")),
        ("mine.tsv", csv_text("\t", '"[""cup""; ""dog""]"').replace(";", ",")),
        ("mine.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("mine.json", json.dumps(ROWS, indent=2)),
        ("metadata.csv", csv_text(",").replace("Image", "file_name")),
    ],
)
@pytest.mark.parametrize("by_folder", [False, True])
def test_files_are_read_alike(name: str, text: str, by_folder: bool, photos: Path, tmp_path: Path) -> None:
    (photos / name).write_text(text)
    questions = load(photos if by_folder else photos / name, tmp_path)
    assert said(questions) == EXPECTED
    assert questions[1].prompt == (
        "What is it?\nA. cup\nB. dog\nAnswer with the option's letter from the given choices directly."
    )
    assert questions[0].id == f"{Path(name).stem}/1"


def saved(folder: Path) -> datasets.Dataset:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "question": datasets.Value("string"),
            "answer": datasets.ClassLabel(names=["No", "yes", "B"]),
            "choices": datasets.List(datasets.Value("string")),
        }
    )
    images = [Image.new("RGB", (4, 4), (0, 0, 0)), {"bytes": png(1), "path": "1.png"}, None]
    columns = {
        "image": images,
        "question": [row["question"] for row in ROWS],
        "answer": [1, 2, 0],
        "choices": [None, ["cup", "dog"], None],
    }
    return datasets.Dataset.from_dict(columns, features=features)


def test_data_sets_are_read_like_files_and_their_pictures_are_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(tmp_path)
    data.save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "mine.parquet")
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(tmp_path / "several")
    asked: list[tuple[str, str | None, str | None]] = []

    def from_hub(repository: str, config: str | None, split: str | None) -> object:
        asked.append((repository, config, split))
        return data

    monkeypatch.setattr(data_sets, "load_from_hub", from_hub)
    for spec in (
        f"{tmp_path / 'saved'}",
        f"{tmp_path / 'mine.parquet'}",
        f"{tmp_path / 'several'},split=test",
        "hf:owner/name,split=test,config=en",
    ):
        assert said(load(spec, tmp_path)) == EXPECTED
    assert asked == [("owner/name", "en", "test")]
    kept = [path for path in (tmp_path / "cache" / "pictures").iterdir() if path.suffix != ".jsonl"]
    assert len(kept) == 2
    with pytest.raises(
        QuestionError, match=r"one of the splits train, test, found several; write .*,split=train"
    ):
        load(tmp_path / "several", tmp_path)
    with pytest.raises(QuestionError, match=r"splits train, test, found no val; write .*several,split=train"):
        load(f"{tmp_path / 'several'},split=val", tmp_path)


@pytest.mark.parametrize("several", [datasets.List, datasets.LargeList, datasets.Sequence])
def test_a_column_may_hold_lists_of_pictures(tmp_path: Path, several: Any) -> None:
    features = datasets.Features(
        {"images": several(datasets.Image())}
        | {name: datasets.Value("string") for name in ("question", "answer")}
    )
    kept = [{"bytes": png(number), "path": None} for number in range(2)]
    rows = {"images": [kept, kept[::-1], []], "question": ["Alike?"] * 3, "answer": ["Yes", "No", "No"]}
    data = datasets.Dataset.from_dict(rows, features=features)
    data.to_parquet(tmp_path / "mine.parquet")
    data.save_to_disk(tmp_path / "saved")
    for place in ("mine.parquet", "saved"):
        with pytest.raises(QuestionError, match="columns=image:images"):
            load(tmp_path / place, tmp_path)
        first, second, none = load(f"{tmp_path / place},columns=image:images", tmp_path)
        assert [path.read_bytes() for path in first.images] == [png(0), png(1)]
        assert second.images == first.images[::-1]
        assert none.images == ()


def test_pictures_without_a_file_split_alike_whether_written_or_not(tmp_path: Path) -> None:
    from hipp_prune.questions.sources import load_splits
    from hipp_prune.questions.splits import SPLITS

    rows = {"image": [{"bytes": png(number), "path": None} for number in range(20)]}
    rows |= {"question": ["Cup?"] * 20, "answer": ["Yes", "No"] * 10}  # type: ignore[dict-item]
    features = datasets.Features(
        {"image": datasets.Image(), "question": datasets.Value("string"), "answer": datasets.Value("string")}
    )
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "mine.parquet")
    specs, cache = [str(tmp_path / "mine.parquet")], tmp_path / "cache"
    counted = load_splits(specs, cache=cache)
    assert not cache.exists()
    assert counted == {split: load_questions(specs, split, cache=cache) for split in SPLITS}
    assert all(counted.values())


def test_what_the_hub_objects_to_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object) -> object:
        raise ConnectionError("Couldn't reach\nthe hub")

    monkeypatch.setattr(data_sets, "load_from_hub", offline)
    for silence, said in (
        (None, r"hf:owner/name: expected a data set, .*Couldn't reach the hub; check the name"),
        (
            "no route",
            r"hf:owner/name: the hub cannot be reached \(no route\), .* serves \(Couldn't reach the hub\)",
        ),
    ):
        monkeypatch.setattr(data_sets, "silence_of_hub", lambda silence=silence: silence)
        with pytest.raises(QuestionError, match=said):
            load("hf:owner/name", tmp_path)


@pytest.mark.parametrize("place", ["hf:owner/name", "mine.parquet", "saved"])
def test_a_data_set_says_what_package_it_needs(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.parquet").write_bytes(b"")
    Path("saved").mkdir()
    Path("saved/state.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        InputError, match=r"needs datasets, which is not installed; run `pip install '.\[datasets\]'"
    ):
        load(place, tmp_path)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(QuestionError, match="expected a parquet file, found none that can be read"):
        load(tmp_path / "mine.parquet", tmp_path)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            "photos",
            "found 3 pictures, such as 0.png, and none; write one photos/questions.csv with columns image,",
        ),
        (
            "photos/*.png",
            "found a pattern; write a table photos/questions.csv with columns image,question,answer",
        ),
        ("photos/0.png", "found a picture; write a table photos/questions.csv"),
        ("csv:mine.csv", "expected no word before a table of your own; write mine.csv"),
        ("pope:mine.csv", "a table of your own is named alone: mine.csv"),
        ("mine.cvs", "there is no mine.cvs; did you mean mine.csv?"),
        ("mine.xlsx", "found mine.xlsx; save it as mine.csv"),
        ("owner/name", "for a data set of the hub, write hf:owner/name"),
        ("hf://datasets/owner/name", "write hf:owner/name"),
        (".", "expected one file of questions, found mine.csv, other.csv; name one: mine.csv"),
        ("above", "found above/below/mine.csv below; write above/below/mine.csv"),
        ("mine.csv,split=test", "expected no split=, which is of data sets"),
        ("mine.csv,images=nowhere", "expected a folder with pictures, found none; check images="),
        ("mine.csv,columns=image:foto", "expected a column foto, as columns= says, found photo, q, label"),
        ("mine.csv,columns=photo", "as in columns=image:photo+question:q, found photo"),
        ("mine.csv", "say which is which: mine.csv,columns=image:photo+question:q+answer:label"),
        ("my own.csv", "say which is which: 'my own.csv,columns=image:photo+question:q+answer:label'"),
    ],
)
def test_guesses_are_answered_with_the_right_form(
    spec: str, sentence: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.csv", "other.csv", "above/below/mine.csv", *([spec] if " " in spec else [])):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("photo,q,label\nphotos/0.png,Cup?,yes\n")
    if spec == "mine.xlsx":
        Path("mine.xlsx").write_text("")
    with pytest.raises(InputError) as caught:
        load(spec, tmp_path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_printed_option_is_the_one_that_works(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("photo,q,label\nphotos/0.png,Cup?,yes\n")
    with pytest.raises(QuestionError) as caught:
        load("mine.csv", tmp_path)
    (question,) = load(str(caught.value).rpartition(" ")[2], tmp_path)
    assert (question.prompt.partition("\n")[0], question.answer) == ("Cup?", "Yes")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a first line with the names of the columns, found none"),
        ("question,question,answer", "expected every column once, found question again"),
        ("question,answer\nCup?", ":2: expected 2 cells, one a column, found 1"),
        ("question,answer\nCup?,yes,no", ":2: expected 2 cells, one a column, found 3"),
        ('question,answer\n"Cup?,yes', ":2: expected comma-separated values, found an error"),
        ("question,answer", "expected a row for each question, found none"),
        ("question,answer\n,yes", ":2: expected a cell in column question, found an empty one"),
        ("question,photo,answer\nCup?,0.png,yes", "expected a column image, found question, photo, answer"),
        ("question,where,answer\nCup?,0.png,yes", "mine.csv,columns=image:where"),
        ("question,image,answer\nCup?,9.png,yes", ":2: expected a picture at "),
        (f"question,image,answer\nCup?,{'9' * 1000}.png,yes", "…, found none"),
        ("question,image,answer\nCup?,a\x1fb.png,yes", "…, found none"),
        (
            "question,image,answer\nCup?,https://a.b/c.png,yes",
            "found the address 'https://a.b/c.png'; download it",
        ),
    ],
)
def test_a_wrong_csv_says_what_is_wrong(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load(path, tmp_path)
    assert sentence in str(caught.value)


def test_bad_rows_are_left_out_and_counted(photos: Path, tmp_path: Path) -> None:
    rows = [*ROWS, {"question": 3, "answer": "yes"}, {**ROWS[0], "image": "9.png"}]
    (photos / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    skip_bad = SkipBad()
    assert said(load(photos, tmp_path, skip_bad)) == EXPECTED
    assert skip_bad.count == 2


@pytest.mark.parametrize("sign", ["\t", "|"])
def test_other_separators_are_said_to_be_others(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"image{sign}question{sign}answer\n{sign}Is it?{sign}yes\n")
    with pytest.raises(
        QuestionError,
        match=r"own\.csv: expected columns between commas .*; (call it own\.tsv|save it with commas)",
    ):
        load(path, tmp_path)


@pytest.mark.parametrize("content", ["question\nIs it?\n".encode("utf-16-le"), b"PK\x03\x04\0\0\0\n1"])
def test_what_a_spreadsheet_saves_otherwise_is_to_be_saved_as_csv(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(content)
    with pytest.raises(
        QuestionError, match=r"expected UTF-8 text, found NUL bytes.*; save it as CSV in UTF-8"
    ):
        load(path, tmp_path)


def test_an_answer_that_may_be_misspelt_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"question": f"Is it {number}?", "answer": "yes"} for number in range(11)]
    path = tmp_path / "own.jsonl"
    write_lines(path, [*rows, {"question": "Is it?", "answer": "yess"}])
    assert len(load(path, tmp_path)) == 12
    assert f"1 of 12 answers is neither Yes nor No, such as 'yess' at {path}:12, and taken" in caplog.text
    caplog.clear()
    write_lines(path, [*rows[:3], {"question": "What is it?", "answer": "a dog"}])
    load(path, tmp_path)
    assert "neither" not in caplog.text


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("image\tquestion\tanswer\n", "", "call it mine.tsv"),
        ("image,question,answer\nphotos/0.PNG,Is it?,Yes\n", "", r"found .*photos/0\.png instead"),
        ("image,question,answer\nphotos/0,Is it?,Yes\n", "", r"found .*photos/0\.png instead"),
        ("image,question,answer\nphotos/9.png,Is it?,Yes\n", "", r"photos/9\.png, found none"),
        ("p,q,a\n", ",columns=image:p+question:p", "every column once in columns=, found p again"),
        ("question,answer,choices\nWhat?,A,cup|\n", "", "a text in every choice, found an empty one"),
    ],
)
def test_what_is_nearly_right_is_told_what_it_lacks(
    text: str, options: str, sentence: str, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        load(f"{tmp_path / 'mine.csv'}{options}", tmp_path)
    assert photos.is_dir()


def test_utf_16_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes("image,question,answer\n".encode("utf-16"))
    with pytest.raises(QuestionError, match=r"found UTF-16, .*CSV UTF-8"):
        load(tmp_path / "mine.csv", tmp_path)


def test_a_space_behind_the_comma_hides_no_picture(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("image, question, answer\n photos/0.png , Is it?, Yes\n")
    (question,) = load(tmp_path / "mine.csv", tmp_path)
    assert question.images == (photos / "0.png",)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("utf16.jsonl", '{"question": "Is it?"}'.encode("utf-16"), r"found UTF-16, .*save it as JSON lines in UTF-8$"),
        ("bare.jsonl", '{"question": "Is it?"}'.encode("utf-16-le"), r"NUL bytes, .*save it as JSON lines in UTF-8$"),
        (
            "columns.json",
            b'{"image": {"0": "a.png"}, "question": {"0": "Is it?"}, "answer": {"0": "yes"}}',
            r"one object of image, question, answer, .*write it with to_json\(path, orient=\"records\"\)$",
        ),
        (
            "split.json",
            b'{"columns": ["question"], "index": [0], "data": [["Is it?"]]}',
            r"one object of columns, index, data, .*orient=\"records\"\)$",
        ),
        (
            "indented.json",
            b'{\n "image": {\n  "0": "a.png"\n },\n "question": {\n  "0": "Is it?"\n }\n}\n',
            r"one object of image, question, .*orient=\"records\"\)$",
        ),
        ("lines.json", b'{\n "question": "Is it?"\n}', r"one object over several lines; put square brackets"),
        ("open.json", b'[{"question": "Is it?"}', r"correct it, or write it again \(what follows"),
        ("cut.parquet", b"PAR1" + 80 * b"x", r"a parquet file, .*; copy it again, or write it again with pandas"),
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_refused_with_what_makes_it_one(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(QuestionError, match=said) as refusal:
        load(tmp_path / name, tmp_path)
    assert "official" not in str(refusal.value)
    assert "split=" not in str(refusal.value)


def test_what_a_saved_data_set_does_not_have_is_refused(tmp_path: Path) -> None:
    data = saved(tmp_path)
    data.save_to_disk(tmp_path / "alone")
    datasets.DatasetDict({"train": data}).save_to_disk(tmp_path / "several")
    named = datasets.Dataset.from_dict(data[:], features=data.features, split="train")
    named.save_to_disk(tmp_path / "named")
    for place in ("alone", "several"):
        with pytest.raises(QuestionError, match=r"expected no config=, .*; leave it out"):
            load(f"{tmp_path / place},config=en", tmp_path)
    with pytest.raises(QuestionError, match=r"alone: expected no split=test, since one data set alone is"):
        load(f"{tmp_path / 'alone'},split=test", tmp_path)
    with pytest.raises(QuestionError, match=r"is saved here \(the split train\); leave it out"):
        load(f"{tmp_path / 'named'},split=test", tmp_path)
    assert said(load(f"{tmp_path / 'named'},split=train", tmp_path)) == EXPECTED
