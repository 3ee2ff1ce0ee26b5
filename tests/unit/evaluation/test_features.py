from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hipp_prune.errors import ImageError, RunError
from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.evaluation.features import encode_image_files
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import Question
from tests.tiny import FAMILIES, tiny_image, tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.full_disk import full_disk
from tests.unit.questions.made import pope


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return load_model(tiny_qwen2_5_vl(tmp_path_factory.mktemp("features")))


@pytest.fixture
def questions(tmp_path: Path) -> list[Question]:
    """Two questions about each of three pictures."""
    for number in range(3):
        tiny_image(number, (56 + 28 * number, 56)).save(tmp_path / f"{number}.png")
    return [pope(number, 0, image=tmp_path / f"{number % 3}.png") for number in range(6)]


@pytest.fixture
def encoded(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures every call of the vision tower was given."""
    calls: list[int] = []
    encode = type(adapter).encode_images

    def counted(self: Adapter, images: list) -> list:
        calls.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(type(adapter), "encode_images", counted)
    return calls


def test_pictures_are_encoded_once_whatever_is_asked(adapter, questions, encoded):
    evaluator = Evaluator(adapter, questions)
    for _ in range(2):
        evaluator.scores(evaluator.prepare())
    assert sum(encoded) == 3


@pytest.mark.parametrize("memory", [0, 600, 2**30])
def test_features_from_disk_are_those_from_memory(adapter, questions, tmp_path, memory):
    expected = encode_image_files(adapter, questions)
    found = encode_image_files(adapter, questions, folder=tmp_path / "cache", memory=memory)
    assert list(found) == list(expected)
    for path, image in found.items():
        assert_agree(image.tokens, expected[path].tokens)
        assert torch.equal(image.extras["image_grid_thw"], expected[path].extras["image_grid_thw"])


def test_what_exceeds_the_limit_and_nothing_else_lies_on_disk(adapter, questions, tmp_path):
    sizes = [image.nbytes for image in encode_image_files(adapter, questions).values()]
    folder = tmp_path / "cache"
    encode_image_files(adapter, questions, folder=folder, memory=sum(sizes))
    assert not folder.exists()
    encode_image_files(adapter, questions, folder=folder, memory=sizes[0])
    assert len(list(folder.iterdir())) == 2


def test_a_second_search_finds_the_features_of_the_first(adapter, questions, tmp_path, encoded):
    for _ in range(2):
        encode_image_files(adapter, questions, folder=tmp_path / "cache", memory=0)
    assert sum(encoded) == 3


def test_features_are_found_by_the_pictures_content_not_by_its_name(adapter, questions, tmp_path, encoded):
    encode_image_files(adapter, questions, folder=tmp_path / "cache", memory=0)
    moved = tmp_path / "moved.png"
    moved.write_bytes((tmp_path / "0.png").read_bytes())
    encode_image_files(adapter, [pope(0, 0, image=moved)], folder=tmp_path / "cache", memory=0)
    assert sum(encoded) == 3
    tiny_image(9).save(tmp_path / "0.png")
    encode_image_files(adapter, questions, folder=tmp_path / "cache", memory=0)
    assert sum(encoded) == 4


def test_another_model_has_features_of_its_own(adapter, questions, tmp_path, encoded):
    other = load_model(tiny_qwen2_5_vl(tmp_path, seed=1))
    halved = load_model(tiny_qwen2_5_vl(tmp_path, name="halved"), dtype="bfloat16")
    for model in (adapter, other, halved):
        encode_image_files(model, questions, folder=tmp_path / "cache", memory=0)
    assert sum(encoded) == 9


def test_what_an_older_version_kept_is_not_taken(adapter, questions, tmp_path, encoded, monkeypatch):
    encode_image_files(adapter, questions, folder=tmp_path / "cache", memory=0)
    monkeypatch.setattr("hipp_prune.evaluation.features._VERSION", 0)
    encode_image_files(adapter, questions, folder=tmp_path / "cache", memory=0)
    assert sum(encoded) == 6


@pytest.mark.parametrize("folder", [None, "cache"])
def test_a_sequence_is_as_long_as_its_pictures_are_seen(questions, tmp_path, folder):
    """OneVision shows a picture whole and in tiles, but one among others without tiles."""
    adapter = load_model(FAMILIES["llava_onevision"](tmp_path / "model"))
    alone = questions[0]
    both = replace(alone, id="both", images=(*alone.images, *questions[1].images))
    evaluator = Evaluator(adapter, [alone, both], folder=folder and tmp_path / folder, memory=0)
    text = len(adapter.processor.token_ids(alone.prompt))
    seen = [evaluator._length(np.array([row])) - text for row in range(2)]
    batch, _ = adapter.encode([alone, both], evaluator._features)
    assert seen == batch.image_mask.sum(1).tolist()
    assert seen[1] != sum(len(features.tokens) for features in evaluator._features.values())


def test_a_damaged_file_is_written_again(adapter, questions, tmp_path, encoded):
    folder = tmp_path / "cache"
    before = encode_image_files(adapter, questions, folder=folder, memory=0)
    before = {path: image.tokens.clone() for path, image in before.items()}
    damaged = next(folder.iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-5])
    after = encode_image_files(adapter, questions, folder=folder, memory=0)
    assert sum(encoded) == 4
    for path, tokens in before.items():  # one picture was encoded by itself, and all three together before
        assert_agree(after[path].tokens, tokens)


def test_scores_do_not_depend_on_where_features_lie(questions, tmp_path):
    adapter = load_model(tiny_llava(tmp_path))
    memory, disk = (
        Evaluator(adapter, questions, **options)
        for options in ({}, {"folder": tmp_path / "cache", "memory": 0})
    )
    expected, found = (evaluator.scores(evaluator.prepare()) for evaluator in (memory, disk))
    assert_agree(found.answers, expected.answers)


def test_a_full_disk_is_one_sentence(adapter, questions, tmp_path):
    with full_disk(), pytest.raises(RunError, match=r"cannot write .*\.safetensors: .*free space"):
        encode_image_files(adapter, questions, folder=tmp_path / "cache", memory=0)
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("folder", [None, "cache"])
def test_a_missing_picture_is_named(adapter, questions, tmp_path, folder):
    gone = [*questions, replace(questions[0], images=(tmp_path / "gone.png",))]
    with pytest.raises(ImageError, match=r"gone\.png"):
        encode_image_files(adapter, gone, folder=None if folder is None else tmp_path / folder, memory=0)
