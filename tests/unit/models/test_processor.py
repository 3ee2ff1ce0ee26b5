"""Prompts and pictures: chat templates, tokens around an image, and pictures that are unusual."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers.utils import is_torchvision_available

from hipp_prune.errors import CheckpointError, ImageError, QuestionError, UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.models.processor import Processor
from hipp_prune.questions.question import Question
from tests.tiny import LLAVA_TEMPLATE, tiny_image, tiny_internvl, tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree


def ask(prompt: str, image: Path | None = None) -> Question:
    return Question(
        benchmark="pope", id="q7", prompt=prompt, images=(image,) if image else (), answers=("Yes", "No"), gold=0,
        subset="random",
        group="g",
    )  # fmt: skip


@pytest.mark.parametrize("build", [tiny_llava, tiny_qwen2_5_vl, tiny_internvl])
def test_a_missing_template_is_said_not_guessed(tmp_path: Path, build: Any) -> None:
    with pytest.raises(CheckpointError, match=r"found no chat template.*copy chat_template\.jinja"):
        load_model(build(tmp_path, chat_template=None))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (("preprocessor_config.json", "processor_config.json"), r"image processor files.*found none of prep"),
        (("tokenizer.json",), r"tokenizer files.*found none of tokenizer\.json"),
    ],
)
def test_missing_files_are_named_before_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], said: str
) -> None:
    folder = tiny_llava(tmp_path)
    for name in missing:
        (folder / name).unlink()
    monkeypatch.setattr("hipp_prune.models.load_weights", None)
    with pytest.raises(CheckpointError, match=said):
        load_model(folder)


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is there")
def test_an_image_processor_for_torchvision_alone_says_what_to_install(tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path)
    kind = {"image_processor_type": "Llama4ImageProcessorFast"}
    (folder / "preprocessor_config.json").write_text(json.dumps(kind))
    with pytest.raises(CheckpointError, match="for torchvision alone, which is not installed; install"):
        load_model(folder)


def test_the_checkpoints_own_template_wins_wherever_it_is_stored(tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path)
    assert load_model(folder).processor.render("Is it?", images=1) == "USER: <image>\nIs it? ASSISTANT:"
    (folder / "chat_template.jinja").unlink()
    own = LLAVA_TEMPLATE.replace("ASSISTANT:", "BOT:")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": own}))
    assert load_model(folder).processor.render("Is it?", images=1) == "USER: <image>\nIs it? BOT:"
    (folder / "chat_template.json").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": own}))
    assert load_model(folder).processor.render("Is it?", images=1) == "USER: <image>\nIs it? BOT:"


def test_a_text_only_template_is_refused(tmp_path: Path) -> None:
    template = "{% for message in messages %}{{ message['content'][-1]['text'] }}{% endfor %}"
    with pytest.raises(UnsupportedModelError, match="places 0 image tokens"):
        load_model(tiny_llava(tmp_path, chat_template=template))


def test_a_template_that_writes_bos_does_not_get_a_second_one(tmp_path: Path) -> None:
    adapter = load_model(tiny_llava(tmp_path, chat_template="{{ bos_token }}" + LLAVA_TEMPLATE))
    batch, _ = adapter.encode([ask("Is it?")], {})
    assert (batch.input_ids == adapter.processor.tokenizer.bos_token_id).sum() == 1


def test_a_prompt_with_the_image_token_is_refused(tmp_path: Path) -> None:
    adapter = load_model(tiny_llava(tmp_path))
    with pytest.raises(QuestionError, match=r"q7.*image token"):
        adapter.encode([ask("What does <image> mean?")], {})


def test_an_answer_that_is_no_single_token_is_refused(tmp_path: Path) -> None:
    adapter = load_model(tiny_llava(tmp_path))
    with pytest.raises(UnsupportedModelError, match="'Zebra' with several tokens"):
        adapter.answer_tokens("Zebra")
    with pytest.raises(UnsupportedModelError, match="'Ω' with several tokens"):
        adapter.answer_tokens("Ω")


def test_a_variant_that_starts_with_a_lone_space_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = load_model(tiny_llava(tmp_path))
    tokenizer = adapter.processor.tokenizer
    (yes,) = tokenizer.convert_tokens_to_ids(["Yes"])
    space, colon = tokenizer.convert_tokens_to_ids(["▁", ":"])

    def split(_: Processor, text: str) -> list[int]:
        return (
            [1, colon, space, yes]
            if text.endswith((" Yes", " yes"))
            else [1, colon, colon][: 2 + ("s" in text[-1])]
        )

    monkeypatch.setattr(Processor, "token_ids", split)
    with pytest.raises(UnsupportedModelError, match="'Yes' with several tokens"):
        adapter.answer_tokens("Yes")


def test_a_trailing_space_in_the_template_does_not_hide_the_answer(tmp_path: Path) -> None:
    spaced = load_model(
        tiny_llava(tmp_path, chat_template=LLAVA_TEMPLATE.replace("ASSISTANT:", "ASSISTANT: "))
    )
    plain = load_model(tiny_llava(tmp_path, name="plain"))
    assert spaced.answer_tokens("Yes") == plain.answer_tokens("Yes")


def test_images_that_carry_more_than_features_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = load_model(tiny_qwen2_5_vl(tmp_path))
    stock = adapter.model.base_model.get_image_features

    def with_more(**inputs: Any) -> Any:
        return {**stock(**inputs), "visual_indicators": []}

    monkeypatch.setattr(adapter.model.base_model, "get_image_features", with_more)
    with pytest.raises(UnsupportedModelError, match="images carry visual_indicators"):
        adapter.encode_images([tiny_image()])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_pictures_of_any_mode(tmp_path: Path, mode: str) -> None:
    adapter = load_model(tiny_llava(tmp_path))
    image = tiny_image().convert(mode)
    with torch.no_grad():
        (tokens,), (expected,) = (
            [f.tokens for f in adapter.encode_images([i])] for i in (image, image.convert("RGB"))
        )
    assert_agree(tokens, expected)


def test_a_picture_the_model_cannot_take(tmp_path: Path) -> None:
    adapter = load_model(tiny_qwen2_5_vl(tmp_path))
    with pytest.raises(ImageError, match="1000×1 cannot be prepared"):
        adapter.encode_images([Image.new("RGB", (1000, 1))])


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"size": {"shortest_edge": 0}}, "'size.shortest_edge' to be at least 1"),
        ({"size": {"shortest_edge": -3}}, "'size.shortest_edge' to be at least 1"),
        ({"size": {"shortest_edge": 10**9}}, "edges of at most 4096 pixels"),
        ({"size": "large"}, "'size' to be an object or an integer, found 'large'"),
        ({"crop_size": {"height": "56", "width": 56}}, "'crop_size.height' to be an integer, found '56'"),
        ({"do_resize": "yes"}, "'do_resize' to be true or false, found 'yes'"),
        ({"image_std": [0.2, 0.0, 0.2]}, r"'image_std\[1\]' to be above 0, found 0.0"),
        ({"image_mean": [0.2, None, 0.2]}, r"'image_mean\[1\]' to be a number, found None"),
        ({"resample": 17}, "'resample' to be at most 5, found 17"),
        ({"rescale_factor": float("nan")}, "'rescale_factor' to be .*, found nan"),
    ],
)
def test_picture_settings_out_of_range_are_named(
    tmp_path: Path, changed: dict[str, object], complaint: str
) -> None:
    folder = tiny_llava(tmp_path)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(CheckpointError, match=rf"preprocessor_config\.json: .*{complaint}"):
        load_model(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}",
        "{% for message in messages %}{{ message['role'] + message['content'] }}{% endfor %}",
    ],
)
def test_a_chat_template_that_cannot_write_is_one_sentence(template: str, tmp_path: Path) -> None:
    """A damaged one, and that of a model of text, whose messages are strings."""
    folder = tiny_llava(tmp_path, chat_template=template)
    with pytest.raises(CheckpointError, match=r"chat template cannot write a question.*chat_template\.jinja"):
        load_model(folder)
