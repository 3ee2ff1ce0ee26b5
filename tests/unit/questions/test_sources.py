"""Sources: what they name, and what the errors say about those that name nothing."""

import json
from pathlib import Path

import pytest
from PIL import Image

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions import toyworld
from hipp_prune.questions.fingerprint import fingerprint_questions
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions, load_splits
from hipp_prune.questions.specs import Source, parse_source, with_count
from hipp_prune.questions.splits import SPLITS, Split


def write_pope(folder: Path, num_images: int = 30) -> Path:
    (folder / "images").mkdir(parents=True)
    lines: list[str] = []
    for number in range(num_images):
        Image.new("L", (2, 2), number).save(folder / "images" / f"{number}.png")
        for label in ("yes", "no"):
            record = {"question_id": len(lines), "image": f"{number}.png", "text": "Cup?", "label": label}
            lines.append(json.dumps(record))
    (folder / "coco_pope_random.json").write_text("\n".join(lines))
    return folder


def write_scienceqa(folder: Path) -> Path:
    folder.mkdir()
    fields = {"question": "Q?", "choices": ["a", "b"], "answer": 0, "hint": "", "image": None}
    problem = fields | {"grade": "grade1", "subject": "language science", "split": "val"}
    (folder / "problems.json").write_text(json.dumps({"1": problem}))
    (folder / "pid_splits.json").write_text(json.dumps({"val": ["1"], "test": []}))
    return folder


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("toyworld", Source(name="toyworld", options={})),
        ("toyworld:my/world", Source(name="toyworld", path=Path("my/world"), options={})),
        ("pope:a:b/coco", Source(name="pope", path=Path("a:b/coco"), options={})),
        ("pope:coco,images=val2014", Source(name="pope", path=Path("coco"), options={"images": "val2014"})),
        ("scienceqa:sqa", Source(name="scienceqa", path=Path("sqa"), options={})),
        ("toyworld,weight=2", Source(name="toyworld", options={}, weight=2.0)),
        ("mine.csv,count=9", Source(name="", path=Path("mine.csv"), options={}, count=9)),
        ("mine.csv", Source(name="", path=Path("mine.csv"), options={})),
        ("mine.csv,role=utility", Source(name="", path=Path("mine.csv"), options={}, role="utility")),
        ("yes-no:a.csv,role=utility", Source(name="yes-no-utility", path=Path("a.csv"), options={})),
        ("yes-no:a.csv,role=robustness", Source(name="yes-no", path=Path("a.csv"), options={})),
        (
            "lmms-eval:pope,role=robustness",
            Source(name="lmms-eval-robustness", path=Path("pope"), options={}),
        ),
        ("lmms-eval-robustness:pope,role=utility", Source(name="lmms-eval", path=Path("pope"), options={})),
        ("hf:owner/name,split=test", Source(name="", path=Path("hf:owner/name"), options={"split": "test"})),
        ("yes-no:mine.csv", Source(name="yes-no", path=Path("mine.csv"), options={})),
        (
            "scienceqa:sqa,images=i,split=val",
            Source(name="scienceqa", path=Path("sqa"), options={"images": "i", "split": "val"}),
        ),
        (
            "photos:my photos, 2024,prompt=What is it, please?,count=3",
            Source(
                name="photos",
                path=Path("my photos, 2024"),
                options={"prompt": "What is it, please?"},
                count=3,
            ),
        ),
        ("a,b.csv,weight=2", Source(name="", path=Path("a,b.csv"), options={}, weight=2.0)),
    ],
)
def test_a_source_is_parsed(text: str, source: Source) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mmbench:x", "expected toyworld, toyworld:DIR, "),
        ("", "found source ''"),
        ("pope", "expected a path after 'pope:', found none"),
        ("pope:", "expected a path after 'pope:', found none"),
        ("toyworld:", "expected a path after 'toyworld:', found none"),
        ("pope:x,split=test", "expected images=… or weight=… or count=…, each once, found 'split=test'"),
        ("pope:x,images=", "found 'images='"),
        ("pope:x,y=", "found 'y='"),
        ("pope:x,weight=0", "expected weight= to be a number from 1e-9 to 1e9, found '0'"),
        ("pope:x,weight=1e300", "found '1e300'"),
        ("pope:x,weight=nan", "found 'nan'"),
        ("toyworld,weight=inf", "found 'inf'"),
        ("mine.csv,weight=two", "found 'two'"),
        ("mine.csv,count=0", "expected count= to be a whole number from 1 to 999999999, found '0'"),
        (
            f"mine.csv,count={5000 * '9'}",
            "expected count= to be a whole number from 1 to 999999999, found '999",
        ),
        ("toyworld,count=1.5", "found '1.5'"),
        (
            "mine.csv,photo=1",
            "expected columns=… or split=… or config=… or images=… or role=… or weight=… or count=…",
        ),
        ("pope:mine.csv", "found a table; a table of your own is named alone: mine.csv"),
        ("https://huggingface.co/datasets/owner/name/viewer", "write hf:owner/name"),
        ("scienceqa:x,split=a,split=b", "found 'split=b'"),
        ("pope:x,role=utility", "expected images=… or weight=… or count=…, each once, found 'role=utility'"),
        ("mine.csv,role=both", "expected role= to be robustness or utility, found 'both'"),
        ("toyworld:x,images=y", "expected weight=… or count=…, each once"),
    ],
)
def test_a_wrong_spec_says_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(QuestionError) as caught:
        parse_source(text)
    assert repr(text) in str(caught.value)
    assert complaint in str(caught.value)


def test_all_is_the_whole_file_and_the_splits_are_its_parts(tmp_path: Path) -> None:
    spec = f"pope:{write_pope(tmp_path / 'coco')}"
    everything = load_questions([spec], "all", cache=tmp_path)
    assert len(everything) == 60
    parts = [load_questions([spec], split, cache=tmp_path) for split in SPLITS]
    assert sorted(q.id for part in parts for q in part) == sorted(q.id for q in everything)
    pictures = [{question.images for question in part} for part in parts]
    assert sum(map(len, pictures)) == 30
    assert load_questions([spec], "search", cache=tmp_path, seed=1) != parts[SPLITS.index("search")]


def test_no_picture_is_in_two_splits_whichever_sources_show_it(tmp_path: Path) -> None:
    pope = write_pope(tmp_path / "coco", 20)
    for name, pairs in {"pairs": 2, "more": 3}.items():
        rows = ["image,question,answer,group"]
        for number in range(0, 18, 3):
            shown = "|".join(f"{number + i}.png" for i in range(pairs))
            rows.append(f"{shown},Which is {name} {number}?,left,{number if name == 'more' else ''}")
        (pope / "images" / f"{name}.csv").write_text("\n".join(rows))
    specs = [f"pope:{pope}", *(str(pope / "images" / f"{name}.csv") for name in ("pairs", "more"))]
    owners: dict[Path, Split] = {}
    for split, questions in load_splits(specs, cache=tmp_path).items():
        assert load_questions(specs, split, cache=tmp_path) == questions
        for question in questions:
            for image in question.images:
                assert owners.setdefault(image, split) == split
    assert len(owners) == 20
    groups: dict[Path, str] = {}
    for question in load_questions(specs, "all", cache=tmp_path):
        for image in question.images:
            assert groups.setdefault(image, question.group) == question.group
    assert len(set(groups.values())) == 8


def test_a_count_holds_in_every_split_and_all_is_all_of_them(tmp_path: Path) -> None:
    spec = f"pope:{write_pope(tmp_path / 'coco')}"
    few = with_count(spec, 4)
    assert with_count(few, 9) == few == f"{spec},count=4"
    assert with_count(spec, None) == spec
    splits = {split: load_questions([few], split, cache=tmp_path) for split in SPLITS}
    for split, questions in splits.items():
        whole = load_questions([spec], split, cache=tmp_path)
        assert len(questions) == min(4, len(whole))
        assert [question for question in whole if question in questions] == questions
    assert load_splits([few], cache=tmp_path) == splits
    everything = load_questions([few], "all", cache=tmp_path)
    assert everything == [question for questions in splits.values() for question in questions]


def test_a_split_without_questions_says_what_splits_there_are(tmp_path: Path) -> None:
    spec = f"pope:{write_pope(tmp_path / 'coco', 2)}"
    full = [name for name in SPLITS if _size(spec, name, tmp_path)]
    empty = next(name for name in SPLITS if name not in full)
    with pytest.raises(
        QuestionError, match=rf"expected some in split {empty}, found none; its 4 questions"
    ) as caught:
        load_questions([spec], empty, cache=tmp_path)
    for name in SPLITS:
        assert f"{name} {_size(spec, name, tmp_path)}" in str(caught.value)


def _size(spec: str, split: Split, cache: Path) -> int:
    try:
        return len(load_questions([spec], split, cache=cache))
    except QuestionError:
        return 0


def test_several_specs_are_joined_and_options_reach_the_loaders(tmp_path: Path) -> None:
    pope_folder, science = write_pope(tmp_path / "coco"), write_scienceqa(tmp_path / "sqa")
    specs = [f"scienceqa:{science},split=val", f"pope:{pope_folder},images={pope_folder / 'images'}"]
    questions = load_questions(specs, "all", cache=tmp_path)
    assert [question.id for question in questions[:2]] == ["1", "random/0"]
    with pytest.raises(
        QuestionError, match=r"expected some in split calibration, found none|expected every id"
    ):
        load_questions(specs[:1] * 2, "calibration", cache=tmp_path)
    with pytest.raises(QuestionError, match=r"expected every id once, found 1 again"):
        load_questions(specs[:1] * 2, "all", cache=tmp_path)


def test_damaged_pictures_are_errors_or_counted_or_never_opened(tmp_path: Path) -> None:
    folder = write_pope(tmp_path / "coco", 3)
    (folder / "images" / "1.png").write_bytes(b"damaged")
    spec = f"pope:{folder}"
    with pytest.raises(ImageError, match=r"1\.png"):
        load_questions([spec], "all", cache=tmp_path)
    skip_bad = SkipBad()
    assert len(load_questions([spec], "all", cache=tmp_path, skip_bad=skip_bad)) == 4
    assert skip_bad.count == 2
    assert len(load_questions([spec], "all", cache=tmp_path, need_images=False)) == 6


def test_the_toyworld_is_drawn_in_the_cache_and_has_its_own_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def write(root: Path) -> Path:
        written.append(root)
        return root

    def load(root: Path, split: str) -> list[Question]:
        return [
            Question(
                benchmark="pope",
                id=f"{root.name}/{split}",
                prompt="Cup?",
                images=(),
                answers=("Yes", "No"),
                gold=0,
                subset="random",
                group="one group, that hashing would put into one split",
            )
        ]

    monkeypatch.setattr(toyworld, "write", write, raising=False)
    monkeypatch.setattr(toyworld, "load", load, raising=False)
    (question,) = load_questions(["toyworld"], "search", cache=tmp_path)
    assert question.id == "toyworld/search"
    assert len(load_questions([f"toyworld:{tmp_path / 'own'}"], "all", cache=tmp_path)) == len(SPLITS)
    assert written == [tmp_path / "toyworld", tmp_path / "own"]


def test_weights_reach_the_questions_and_their_fingerprint_and_agree(tmp_path: Path) -> None:
    spec = f"pope:{write_pope(tmp_path / 'coco')}"
    plain, heavy = (load_questions([each], "all", cache=tmp_path) for each in (spec, f"{spec},weight=2"))
    assert {question.weight for question in plain} == {1.0}
    assert {question.weight for question in heavy} == {2.0}
    assert fingerprint_questions(plain) != fingerprint_questions(heavy)
    mine = tmp_path / "mine.csv"
    mine.write_text("question,answer\nCup?,yes\n")
    mine.with_name("other.csv").write_text("question,answer\nDog?,no\n")
    specs = [f"{mine},weight=2", str(mine.with_name("other.csv"))]
    with pytest.raises(
        QuestionError, match="expected one weight of yes-no, which is weighed as a whole, found 2 and 1"
    ):
        load_questions(specs, "all", cache=tmp_path)


def test_a_table_serves_the_role_that_its_source_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [
        {"question": "Is fire hot?", "answer": "yes"},
        {"question": "Which?", "answer": "A", "choices": ["a", "b"]},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    for role, names in {
        "robustness": ["yes-no", "choices-robustness"],
        "utility": ["yes-no-utility", "choices"],
    }.items():
        found = load_questions([f"{path},role={role},weight=2"], "all", cache=tmp_path)
        assert [question.benchmark for question in found] == names
        assert {question.weight for question in found} == {2.0}
    path.write_text(json.dumps(rows[0] | {"role": "utility"}))
    with pytest.raises(QuestionError, match="expected a question of yes-no, found one of yes-no-utility"):
        load_questions([f"{path},role=robustness"], "all", cache=tmp_path)
    path.write_text(json.dumps({"question": "Why?"}))
    with pytest.raises(QuestionError, match="expected an answer, or role utility"):
        load_questions([f"{path},role=robustness"], "all", cache=tmp_path)
