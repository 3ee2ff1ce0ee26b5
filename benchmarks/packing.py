"""How much sooner questions are answered when those about one image share a sequence; seconds, on any machine.

Run: python benchmarks/packing.py
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.models.llava import LlavaAdapter
from hipp_prune.models.processor import Processor
from hipp_prune.models.qwen2_5_vl import Qwen2VLAdapter
from hipp_prune.questions.question import Question
from hipp_prune.toy import families, tokenizer

SIDE = 12
"""An image is SIDE × SIDE tokens."""
THINGS = ("a red ball", "a blue boat", "a green cup", "a lemon", "a black clock", "a bicycle")


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    hidden: int = 256
    blocks: int = 4
    images: int = 8
    questions: int = 6
    """Questions an image."""
    rounds: int = 7
    """Both ways take turns, so that whatever else the machine does hits them alike; medians over rounds."""


def build(settings: Settings, family: families.Family) -> Adapter:
    """A stock model with random weights and the embedded models' tokenizer."""
    words = tokenizer.build(family)
    ids = words.get_vocab()
    torch.manual_seed(0)
    heads = settings.hidden // 32
    text = {
        "vocab_size": len(ids), "hidden_size": settings.hidden, "intermediate_size": settings.hidden * 8 // 3,
        "num_hidden_layers": settings.blocks, "num_attention_heads": heads, "num_key_value_heads": heads,
        "bos_token_id": words.eos_token_id, "eos_token_id": words.eos_token_id,
    }  # fmt: skip
    image = ids[family.picture_token]
    model: PreTrainedModel
    if family is families.LLAVA:
        text["model_type"] = "llama"
        model = LlavaForConditionalGeneration(LlavaConfig(text_config=text, image_token_index=image))
        adapter_class: type[Adapter] = LlavaAdapter
    else:
        text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]}
        vision = {"depth": 1, "out_hidden_size": settings.hidden, "fullatt_block_indexes": [0]}
        model = Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision, image_token_id=image)
        )
        adapter_class = Qwen2VLAdapter
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5)
    processor = Processor(tokenizer=words, image_processor=None, chat_template=family.chat_template)
    return adapter_class(model, processor)


def ask(settings: Settings) -> tuple[list[Question], dict[Path, ImageFeatures]]:
    """Questions about images that are random features: the vision tower has no part in this."""
    grid = torch.tensor([[1, 2 * SIDE, 2 * SIDE]])
    features = {
        Path(str(number)): ImageFeatures(
            tokens=torch.randn(SIDE**2, settings.hidden), extras={"image_grid_thw": grid}
        )
        for number in range(settings.images)
    }
    questions = [
        question(path, THINGS[number % len(THINGS)])
        for path in features
        for number in range(settings.questions)
    ]
    return questions, features


def question(image: Path, thing: str) -> Question:
    """One of POPE's, in its official words."""
    return Question(
        benchmark="pope", id=f"{image}/{thing}", image=image, answers=("Yes", "No"), gold=0, subset="random",
        prompt=f"Is there {thing} in the image?\nAnswer the question using a single word or phrase.", group=str(image),
    )  # fmt: skip


@torch.inference_mode()
def compare(settings: Settings, family: families.Family) -> str:
    """One row of the table."""
    adapter = build(settings, family)
    questions, features = ask(settings)
    if family is families.LLAVA:
        features = {path: ImageFeatures(tokens=one.tokens, extras={}) for path, one in features.items()}
    ways = (adapter.encode(questions, features), adapter.pack(questions, features))
    unpacked, packed = (adapter.answer_logits(*way) for way in ways)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(settings.rounds):
        for taken, way in zip(seconds, ways, strict=True):
            start = time.perf_counter()
            adapter.answer_logits(*way)
            taken.append(time.perf_counter() - start)
    slow, fast = median(seconds[0]), median(seconds[1])
    text = int(ways[0][0].input_ids.shape[1]) - SIDE**2
    tokens = " → ".join(str(way[0].input_ids.numel()) for way in ways)
    return (
        f"| {family.name} | {SIDE**2 / text:.1f} | {tokens} | {slow:.2f} s | {fast:.2f} s | {slow / fast:.1f}× | "
        f"{float((unpacked - packed).abs().max()):.1e} |\n"
    )


def main(settings: Settings) -> None:
    """Prints one row a family."""
    sys.stdout.write(
        "| model | image tokens a text token | tokens, padding included | unpacked | packed | ratio | "
        "largest difference of a logit |\n|---|---|---|---|---|---|---|\n"
    )
    for family in families.FAMILIES.values():
        sys.stdout.write(compare(settings, family))
        sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(Settings))
