"""Checkpoints of the embedded models: where the shipped ones lie, and how a trained one is written."""

import json
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, LlavaProcessor, PreTrainedTokenizerFast

from hipp_prune.experiments.toy.families import LLAVA, ToyFamily
from hipp_prune.experiments.toy.pictures import image_processor
from hipp_prune.questions.toyworld.drawing import CELL, SIDE


def save(model: Any, family: ToyFamily, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes weights, configuration, tokenizer and processor as stock ``from_pretrained`` reads them.

    Args:
        model: a stock model.
        family: whose processor and chat template are written.
        tokenizer: with the model's vocabulary.
        folder: to write into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=2,
        do_sample=False,
    )
    model.save_pretrained(folder)
    _save_processor(family, tokenizer, folder)


def _save_processor(family: ToyFamily, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    tokenizer.save_pretrained(folder)
    pictures = image_processor(family)
    pictures.save_pretrained(folder)
    if family is LLAVA:
        LlavaProcessor(
            image_processor=pictures,
            tokenizer=tokenizer,
            patch_size=CELL,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            chat_template=family.chat_template,
        ).save_pretrained(folder)
        return
    # Qwen's processor class cannot be made without torchvision; these are the files it would read.
    stored = json.loads(
        (folder / "preprocessor_config.json").read_text()
    )  # as save_pretrained has just written it
    stored["processor_class"] = "Qwen2_5_VLProcessor"
    video = {
        "video_processor_type": "Qwen2VLVideoProcessor",
        "patch_size": CELL // 2,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": SIDE**2, "longest_edge": SIDE**2},
    }
    _write_json(folder / "preprocessor_config.json", stored)
    _write_json(folder / "video_preprocessor_config.json", video)
    _write_json(folder / "processor_config.json", {"processor_class": "Qwen2_5_VLProcessor"})


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
