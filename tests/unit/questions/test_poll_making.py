import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.cli import main
from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.annotations import AnnotatedPicture, read_annotations
from hipp_prune.questions.benchmarks import pope
from hipp_prune.questions.poll_making import file_text, make_polls, with_files

KITCHEN_AND_STREET = [
    ["dog", "cat", "umbrella", "bus"],
    ["dog", "cat", "cup"],
    ["cup", "oven", "spoon"],
    ["cat", "dog", "apple", "cup", "sink"],
    ["bus", "car", "kite"],
    ["dog", "cat"],
    ["kite", "boat", "bus"],
]
OFFICIAL = {
    "random": "dog cat cup bus car kite kite boat bus cat dog apple cup oven spoon dog cat umbrella / oven apple car "
    "sink umbrella apple sink apple spoon bus spoon boat umbrella dog cat cup oven car",
    "popular": "dog cat cup bus car kite kite boat bus cat dog apple cup oven spoon dog cat umbrella / bus kite car "
    "dog cat cup dog cat cup bus kite car dog cat bus cup kite car",
    "adversarial": "dog cat cup bus car kite kite boat bus cat dog apple cup oven spoon dog cat umbrella / apple sink "
    "oven boat dog apple car oven dog umbrella bus boat dog umbrella boat cup apple boat",
}
"""What the official program asks about these pictures after ``random.seed(3)``: present / absent objects in order."""
OF_COCO256 = {
    "random": "f010287f7dbd7d7cca5fa08215e23e1b28d66d22c5ea5958514a61ebcd1bc4a0",
    "popular": "091abf0fbf64150d4bf8c3ad55d8e06863dd54b81e7327214f70205e12fc4a67",
    "adversarial": "18c2d3dca3bc6b3f4e339cf504a6d4fa7ddf40a25060c13a6dd05db58320e689",
}
"""SHA-256 of what it writes about 256 COCO photographs after ``random.seed(7)``, its "imange" mended."""
DATA = Path(__file__).parents[4] / "shared" / "data" / "coco256" / "objects.json"


def annotated(objects: list[list[str]]) -> list[AnnotatedPicture]:
    return [AnnotatedPicture(image=f"{i}.jpg", objects=tuple(names)) for i, names in enumerate(objects)]


def asked(records: object, label: str) -> list[str]:
    assert isinstance(records, list)
    return [
        record["text"].removesuffix(" in the image?").split(" ", 3)[3]
        for record in records
        if record["label"] == label
    ]


def test_asks_what_the_official_program_asks() -> None:
    polls = make_polls(annotated(KITCHEN_AND_STREET), seed=3)
    found = {s: " ".join(asked(r, "yes")) + " / " + " ".join(asked(r, "no")) for s, r in polls.items()}
    assert found == OFFICIAL


@pytest.mark.skipif(not DATA.is_file(), reason="the 256 COCO photographs are not here")
def test_asks_what_the_official_program_asks_about_photographs() -> None:
    polls = make_polls(read_annotations(DATA), seed=7)
    assert {s: hashlib.sha256(file_text(r).encode()).hexdigest() for s, r in polls.items()} == OF_COCO256


@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), unique=True), min_size=1, max_size=8), st.integers(0, 99)
)
def test_half_of_six_questions_a_picture_are_yes_and_true(objects: list[list[str]], seed: int) -> None:
    # ten more objects in one picture, so that three are absent in every other
    pictures = annotated([*objects, [f"object {i}" for i in range(10)], list("klm")])
    truth = {picture.image: picture.objects for picture in pictures}
    for records in make_polls(pictures, seed=seed).values():
        texts = Counter((record["image"], record["text"]) for record in records)
        assert max(texts.values()) == 1
        for record in records:
            name = str(record["text"]).removesuffix(" in the image?").split(" ", 3)[3]
            assert (name in truth[str(record["image"])]) == (record["label"] == "yes")
        each = Counter((record["image"], record["label"]) for record in records)
        assert set(each.values()) == {3}


def test_of_a_picture_with_fewer_objects_each_is_asked_for() -> None:
    for records in make_polls(annotated(KITCHEN_AND_STREET), least=2, seed=3).values():
        last = [record for record in records if record["image"] == "5.jpg"]
        assert asked(last, "yes") == ["dog", "cat"]
        assert len(asked(last, "no")) == 2


def test_refuses_what_cannot_be_asked() -> None:
    with pytest.raises(QuestionError, match="expected 7 pictures with at least 3 objects, found 6 of 7"):
        make_polls(annotated(KITCHEN_AND_STREET), count=7)
    with pytest.raises(QuestionError, match=r"\.jpg: expected at least 3 of the collection's 4 objects"):
        make_polls(annotated([["a", "b", "c"], ["b", "c", "d"]]))


def test_reads_three_kinds_of_annotations(tmp_path: Path) -> None:
    records = [{"image": f"{i}.jpg", "objects": names} for i, names in enumerate(KITCHEN_AND_STREET)]
    (tmp_path / "objects.json").write_text(json.dumps(records))
    (tmp_path / "segmentation.json").write_text("\n".join(json.dumps(r | {"image_id": 1}) for r in records))
    names = sorted({name for row in KITCHEN_AND_STREET for name in row})
    instances = {
        "info": {},
        "images": [{"id": 10 + i, "file_name": f"{i}.jpg", "width": 3} for i in range(len(records))],
        "annotations": [
            {"image_id": 10 + i, "category_id": names.index(name), "bbox": []}
            for i, row in enumerate(KITCHEN_AND_STREET)
            for name in (*row, row[0])
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    (tmp_path / "instances.json").write_text(json.dumps(instances))
    for name in ("objects.json", "segmentation.json", "instances.json"):
        assert read_annotations(tmp_path / name) == annotated(KITCHEN_AND_STREET)
    instances["annotations"] = [{"image_id": 99, "category_id": 0}]
    (tmp_path / "instances.json").write_text(json.dumps(instances))
    with pytest.raises(QuestionError, match="found image 99, category 0"):
        read_annotations(tmp_path / "instances.json")
    (tmp_path / "objects.json").write_text(json.dumps([*records, records[0]]))
    with pytest.raises(QuestionError, match=r"found 0\.jpg again"):
        read_annotations(tmp_path / "objects.json")


def test_only_pictures_that_are_there_are_asked(tmp_path: Path) -> None:
    pictures = annotated(KITCHEN_AND_STREET)
    with pytest.raises(ImageError, match="found none of 7"):
        with_files(pictures, tmp_path)
    (tmp_path / "1.jpg").touch()
    assert with_files(pictures, tmp_path) == [pictures[1]]
    with pytest.raises(ImageError, match="expected a folder"):
        with_files(pictures, tmp_path / "nowhere")


def test_the_verb_writes_files_that_pope_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for i in range(6):
        (images / f"{i}.jpg").touch()
    records = [{"image": f"{i}.jpg", "objects": names} for i, names in enumerate(KITCHEN_AND_STREET)]
    (tmp_path / "objects.json").write_text(json.dumps(records))
    words = ["questions", "pope", "--annotations", f"{tmp_path}/objects.json", "--images", str(images)]
    assert main([*words, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "left out 1 of 7 annotated pictures" in printed.err
    questions = pope.load(out, images)
    assert Counter(question.subset for question in questions) == dict.fromkeys(pope.SUBSETS, 5 * 6)
    assert main([*words, "--out", str(out)]) == 0
    assert main([*words, "--out", str(out), "--seed", "1"]) == 2
    assert main([*words, "--out", str(out), "--seed", "1", "--force"]) == 0
