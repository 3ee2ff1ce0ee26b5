"""The shipped checkpoints: stock, small, and good at what they were taught."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2_5_VLForConditionalGeneration,
)

from hipp_prune.experiments.toy.examination import answers, grades
from hipp_prune.experiments.toy.families import LLAVA, TOY_FAMILIES, FamilyName, ToyFamily
from hipp_prune.experiments.toy.tokenizer import build
from hipp_prune.models.loading import local_folder
from hipp_prune.questions import toyworld

MOST_BYTES = 12 * 2**20


def test_every_family_has_a_name_a_caller_may_write() -> None:
    assert tuple(TOY_FAMILIES) == get_args(FamilyName)


def test_it_is_small_single_precision_and_has_no_pickle(family: ToyFamily) -> None:
    folder = local_folder(family.name)
    assert (folder / "model.safetensors").stat().st_size <= MOST_BYTES
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F32"}  # noqa: SIM118


def test_it_is_a_stock_model_with_twelve_blocks_of_gated_mlps(family: ToyFamily) -> None:
    model = AutoModelForImageTextToText.from_pretrained(local_folder(family.name))
    expected = LlavaForConditionalGeneration if family is LLAVA else Qwen2_5_VLForConditionalGeneration
    assert type(model) is expected
    blocks = model.model.language_model.layers
    assert len(blocks) >= 12
    assert all(hasattr(blocks[0].mlp, name) for name in ("gate_proj", "up_proj", "down_proj"))
    assert sum(weight.numel() for weight in model.parameters()) < 3_000_000


def test_its_tokenizer_and_image_processor_are_those_it_was_trained_with(family: ToyFamily) -> None:
    folder = local_folder(family.name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.get_vocab() == build(family).get_vocab()
    assert tokenizer.chat_template == family.chat_template
    config = AutoConfig.from_pretrained(folder)
    processed = AutoImageProcessor.from_pretrained(folder, backend="pil", config=config)(
        [Image.new("RGB", (96, 96))], return_tensors="pt"
    )
    size = (1, 3, 96, 96) if family is LLAVA else (64, 2 * 3 * 12 * 12)
    assert tuple(processed["pixel_values"].shape) == size


def test_the_stock_processor_of_llava_expands_the_picture() -> None:
    processor = AutoProcessor.from_pretrained(local_folder("toy-llava"))
    assert isinstance(processor, LlavaProcessor)
    content = [{"type": "image"}, {"type": "text", "text": "Is there a cup in the image?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=Image.new("RGB", (96, 96)), text=text, return_tensors="pt")
    assert int((inputs["input_ids"] == processor.image_token_id).sum()) == 16


def test_it_answers_questions_it_has_never_seen(family: ToyFamily, tmp_path: Path) -> None:
    folder = local_folder(family.name)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    root = toyworld.write(tmp_path / "world")
    questions = toyworld.load(root, "calibration")
    accuracy = grades(questions, answers(model, family, AutoTokenizer.from_pretrained(folder), questions))
    assert accuracy["pope/random"] >= 0.9
    assert accuracy["pope/adversarial"] >= 0.85
    assert accuracy["scienceqa"] >= 0.8


def test_it_generates_the_answer_and_stops(family: ToyFamily) -> None:
    folder = local_folder(family.name)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = family.wrap(
        "What color is a lemon?\nA. red\nB. yellow\n"
        "Answer with the option's letter from the given choices directly.",
        with_picture=False,
    )
    inputs = torch.tensor(tokenizer([text])["input_ids"])
    with torch.no_grad():
        made = model.generate(input_ids=inputs, attention_mask=torch.ones_like(inputs))
    assert tokenizer.decode(made[0, inputs.shape[1] :], skip_special_tokens=True).strip() == "B"


@pytest.mark.parametrize("name", get_args(FamilyName))
def test_the_log_of_its_training_is_kept(name: FamilyName) -> None:
    docs = Path(__file__).parents[4] / "docs" / "toy"
    log = (docs / f"train-{name}.log").read_text(encoding="utf-8")
    for part in ("hipp-prune toy train", "seed 0", "torch", "read", "see", "look", "test  scienceqa"):
        assert part in log
