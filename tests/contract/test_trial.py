"""A model is tried before hours are spent on it: what passes, what is refused, and that nothing is left behind."""

import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import dynamic_module_utils
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from hipp_prune.checkpoints import folders
from hipp_prune.checkpoints.pruned import mlp_entries
from hipp_prune.errors import HippPruneError, ImageError, OutputExistsError, UnsupportedModelError
from hipp_prune.models import SUPPORTED, load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.tried import tried_families
from hipp_prune.questions.question import Question
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.trial import try_model
from tests.strangers import tiny_stranger
from tests.tiny import (
    FAMILIES,
    NEED_TIMM,
    tiny_idefics3,
    tiny_image,
    tiny_llava,
    tiny_mistral3,
    tiny_qwen2_5_vl,
)
from tests.try_families import (
    BEGIN,
    BY_CONFIGURATION,
    END,
    PACKAGES,
    PAGE,
    UNTRIED,
    lines,
    tiny_model,
    try_family,
)
from tests.try_families import STRANGERS as TRIED

STRANGERS = (
    "video_llama_3", "minicpmv4_7",  # their forwards swallow `logits_to_keep`
    "qianfan_ocr", "deepseek_vl", "janus",  # features as one tensor
    "lighton_ocr", "idefics2", "llava_next_video", "paddleocr_vl", "glm46v", "cohere_compass", "exaone4_5",
    "hyperclovax_vision_v2",
    "perception_lm",  # its tower is timm's
)  # fmt: skip
WITHOUT_TIMM = pytest.mark.skipif(find_spec("timm") is None, reason="make test-timm has timm")
pytestmark = pytest.mark.filterwarnings("ignore:.*is not among the tested families")


def question(prompt: str) -> Question:
    return Question(
        benchmark="pope", id=prompt, prompt=prompt, images=(Path("a"),), answers=("Yes", "No"), gold=0, subset="random",
        group="g",
    )  # fmt: skip


def answers(adapter: Adapter) -> Tensor:
    features = {Path("a"): adapter.encode_images([tiny_image()])[0]}
    asked = [question("Is there a dog?"), question("Which of these things is a person, a dog or a cat?")]
    with torch.no_grad():
        return adapter.answer_logits(*adapter.encode(asked, features))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_the_table_passes(tmp_path: Path, family: str) -> None:
    folder = FAMILIES[family](tmp_path)
    trial = try_model(load_model(folder), folder)
    assert trial.family == SUPPORTED[family].model_type
    assert trial.packs == ("packing" not in SUPPORTED[family].cannot)
    assert trial.flat_pictures


@pytest.mark.parametrize("model", ["toy-llava", "toy-qwen2.5-vl"])
def test_the_embedded_models_pass(model: str) -> None:
    assert try_model(load_model(model), model).packs


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=WITHOUT_TIMM if name in PACKAGES else ())
        for name in STRANGERS
        if name not in SUPPORTED
    ],
)
def test_strangers_are_supported_by_their_structure(tmp_path: Path, family: str) -> None:
    folder = tiny_stranger(tmp_path, family)
    adapter = load_model(folder)
    first, second = answers(adapter)
    assert (first - second).abs().max() > 0.1, "each question is answered at its own last token"
    trial = try_model(adapter, folder)
    assert trial.family == family
    assert not trial.packs


@pytest.mark.parametrize("build", [tiny_llava, tiny_qwen2_5_vl, tiny_mistral3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_later_blocks_stay_out_of_the_temporary_checkpoint(tmp_path: Path, build: Any, dtype: str) -> None:
    folder = build(tmp_path, blocks=5, max_shard_size="60KB")
    assert try_model(load_model(folder, dtype=dtype), folder).packs


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_llava(tmp_path / "model", blocks=3)
    adapter = load_model(folder)
    before, layers = answers(adapter), list(adapter.model.get_decoder().layers)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    cache, path, modules = tmp_path / "cache", list(sys.path), set(sys.modules)
    cache.write_text("a home that nobody can write into")
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(cache / "modules"))
    try_model(adapter, folder)
    assert str(cache / "modules") == dynamic_module_utils.HF_MODULES_CACHE
    assert sys.path == path
    assert not [name for name in set(sys.modules) - modules if name.startswith("transformers_modules")]
    assert list(temporary.iterdir()) == []
    assert list(adapter.model.get_decoder().layers) == layers
    assert torch.equal(answers(adapter), before)
    assert not any(module._forward_pre_hooks for module in adapter.model.modules())


@pytest.mark.parametrize("family", ["idefics2", "minicpmv4_6", "idefics3"])
def test_a_layout_of_its_own_is_refused(tmp_path: Path, family: str) -> None:
    """What our generic adapter makes of marks around images, and of tiles."""
    folder = tiny_idefics3(tmp_path) if family == "idefics3" else tiny_stranger(tmp_path, family)
    loaded = load_model(folder)
    generic = Adapter(loaded.model, replace(loaded.processor, stock=None))
    with pytest.raises(
        UnsupportedModelError,
        match=r"transformers' processor makes \d+ tokens .* in a way of its own|Image features and image tokens",
    ):
        try_model(generic, folder)


def test_marks_around_a_picture_are_no_text(tmp_path: Path) -> None:
    """MiniCPM-V numbers its pictures and marks their ends; visual sensitivity counts neither as text nor as image."""
    adapter = load_model(tiny_stranger(tmp_path, "qianfan_ocr"))
    features = {Path("a"): adapter.encode_images([tiny_image()])[0]}
    batch, _ = adapter.encode([question("Is there a dog?")], features)
    vocabulary = adapter.processor.tokenizer.get_vocab()
    assert batch.input_ids[batch.marker_mask].tolist() == [vocabulary["<img>"], vocabulary["</img>"]]
    assert int(batch.image_mask.sum()) == len(features[Path("a")].tokens)


def test_a_family_whose_layout_nobody_tells_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_stranger(tmp_path, "llava_next_video")

    def absent(*_: Any) -> Any:
        raise ImportError("it requires the Torchvision library")

    monkeypatch.setattr("hipp_prune.models.stock_processor", absent)
    monkeypatch.setattr("hipp_prune.stages.trial.stock_processor", absent)
    with pytest.raises(
        UnsupportedModelError, match=r"alone knows how this family lays out a picture.*Torchvision"
    ):
        try_model(load_model(folder), folder)


def test_answers_read_at_the_wrong_token_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_llava(tmp_path)
    adapter = load_model(folder)
    monkeypatch.setattr(type(adapter), "_packs", False)

    def first_token(batch: Any, images: Any) -> Tensor:
        logits: Tensor = adapter.model(**adapter._forward_inputs(batch, images)).logits[:, 20]
        return logits

    monkeypatch.setattr(adapter, "answer_logits", first_token)
    with pytest.raises(UnsupportedModelError, match=r"answers differ from those of the stock model's by \d+"):
        try_model(adapter, folder)


def test_a_forward_that_does_not_call_its_head_is_refused(tmp_path: Path) -> None:
    adapter = load_model(tiny_llava(tmp_path))
    head = adapter.model.get_output_embeddings()

    class Inlined(nn.Linear):
        def __call__(self, states: Tensor) -> Tensor:
            return nn.functional.linear(states, head.weight)

    adapter.model.lm_head.__class__ = Inlined
    with pytest.raises(UnsupportedModelError, match="calls the output head 0 times"):
        answers(adapter)


def test_names_that_nobody_opens_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was: the tower of MiniCPM-V 4.6 got the names of CLIP's on the hub."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(folders, "_tower", lambda _: None)
    folder = tiny_stranger(tmp_path, "minicpmv4_6")
    with pytest.raises(
        UnsupportedModelError, match=r"opening two pruned blocks with transformers failed.*missing"
    ):
        try_model(load_model(folder), folder)
    assert list(temporary.iterdir()) == []


def test_flat_pictures_that_a_tower_cannot_encode_are_image_errors(tmp_path: Path) -> None:
    folder = tiny_stranger(tmp_path, "lighton_ocr")
    adapter = load_model(folder)
    with pytest.raises(ImageError, match="448×28"):
        adapter.encode_images([tiny_image(size=(448, 28))])
    assert not try_model(adapter, folder).flat_pictures
    assert load_model(tiny_mistral3(tmp_path)).encode_images([tiny_image(size=(448, 28))])[
        0
    ].tokens.shape == (4, 32)


def test_calibrate_refuses_before_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_tower", lambda _: None)
    folder, out = tiny_stranger(tmp_path, "minicpmv4_6"), tmp_path / "run"
    with pytest.raises(UnsupportedModelError, match="tried before anything was written"):
        calibrate(str(folder), ["toyworld"], out)
    assert not out.exists()


def test_calibrate_keeps_the_old_run_of_a_model_that_passes_no_more(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "run.json").write_text("{}")
    (out / "calibration.safetensors").write_bytes(b"hours")
    with pytest.raises(OutputExistsError):
        calibrate("toy-llava", ["toyworld"], out)
    with pytest.raises(HippPruneError):
        calibrate(str(tmp_path / "misspelt"), ["toyworld"], out, force=True)
    assert (out / "calibration.safetensors").read_bytes() == b"hours"


def test_the_connectors_mlp_is_not_the_language_models(tmp_path: Path) -> None:
    folder = tiny_stranger(tmp_path, "idefics2", changes={"perceiver_config": {"resampler_depth": 2}})
    entries = mlp_entries(folders.open_shards(folder), load_model(folder).shape)
    assert {entry.name.split("layers")[0] for entry in entries.values()} == {"model.text_model."}


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("aria", "mixture of experts"),
        ("qwen3_5_moe", "mixture of experts"),
        ("blip-2", "a list of `layers`"),
        ("instructblip", "lacks an `mlp`"),
    ],
)
def test_families_without_the_structure_are_refused_before_weights_are_read(
    tmp_path: Path, family: str, said: str
) -> None:
    folder = tiny_model(tmp_path, family)
    for path in folder.glob("*.safetensors"):
        path.write_bytes(b"no weights")
    with pytest.raises(UnsupportedModelError, match=said):
        load_model(folder)


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("ovis2", "visual_indicator_features"),
        ("got_ocr2", "chat template places 0"),
    ],
)
def test_families_that_carry_more_than_features_are_refused(tmp_path: Path, family: str, said: str) -> None:
    folder = tiny_stranger(tmp_path, family)
    with pytest.raises(UnsupportedModelError, match=said):
        try_model(load_model(folder), folder)


def test_the_table_is_of_what_was_tried() -> None:
    """Table and page are written by ``python -m tests.try_families``; where they differ, they are written anew."""
    found = tried_families()
    standing = {each.model_type: each.standing for each in found}
    under_contract = {*FAMILIES, *NEED_TIMM}
    assert set(standing) == {*under_contract, *TRIED}
    assert {name for name, how in standing.items() if how == "tested"} == under_contract
    assert {name for name, how in standing.items() if how == "by discovery"} == set(STRANGERS)
    for each in found:
        if each.standing == "tested":
            assert each.cannot == SUPPORTED[each.model_type].cannot
    page = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert page.splitlines() == list(lines(found))


def test_no_class_of_transformers_is_forgotten() -> None:
    known = {each.model_type for each in tried_families()}
    assert set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) - known == set(UNTRIED)


@pytest.mark.parametrize("family", [*BY_CONFIGURATION[::6], "cohere_compass", "granite4_vision", "gemma4"])
def test_what_the_table_says_is_found_again(family: str) -> None:
    """Some rows of each kind; the others' standing is tested above, or by the command that writes the table."""
    assert try_family(family) == {each.model_type: each for each in tried_families()}[family]
