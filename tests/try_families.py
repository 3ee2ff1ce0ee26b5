"""Which families can be pruned, found by trying a tiny model of each: ``python -m tests.try_families``.

Writes the table of ``docs/families.md``. It needs no download and takes half a minute.
"""

import json
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import CONFIG_MAPPING

from hipp_prune.errors import HippPruneError
from hipp_prune.models import load_model
from hipp_prune.stages.trial import try_model
from tests.strangers import tiny_stranger
from tests.tiny import FAMILIES, tiny_llava

PAGE = Path(__file__).parents[1] / "docs" / "families.md"
BEGIN, END = "<!-- families: tried -->\n", "<!-- families: end -->\n"
STRANGERS = (
    "llava_next_video", "vipllava", "qianfan_ocr", "deepseek_vl", "janus",
    "idefics2", "video_llama_3", "minicpmv4_6", "lighton_ocr", "paddleocr_vl",
    "pixtral", "got_ocr2", "gemma3n", "gemma4", "gemma4_unified", "ovis2",
    "kimi_k25", "cohere2_vision", "lfm2_vl", "llama4", "minicpm_ocr", "minicpmv4_7", "nemotron_h_omni",
    "aria", "qwen3_5_moe", "unlimited_ocr", "blip-2", "instructblip", "fuyu", "video_llava", "granite_docling",
)  # fmt: skip
"""Families outside the table, supported ones first; ``pixtral`` stands for its weights under LLaVA's name."""


def tiny_model(tmp: Path, family: str) -> Path:
    """A checkpoint folder of a family; of one that needs a package we lack, the configuration alone."""
    if family in FAMILIES:
        return FAMILIES[family](tmp)
    if family == "pixtral":
        folder = tiny_llava(tmp)
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**config, "vision_config": {"model_type": "pixtral"}}), encoding="utf-8")
        return folder
    try:
        return tiny_stranger(tmp, family)
    except ImportError:
        folder = tmp / family
        CONFIG_MAPPING[family]().save_pretrained(folder)
        return folder


def tried(family: str) -> str:
    """A row: the family, what came of it, seconds."""
    with TemporaryDirectory() as tmp, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = tiny_model(Path(tmp), family)
        start = time.perf_counter()
        try:
            trial = try_model(load_model(folder), folder)
        except HippPruneError as error:
            found = f"refused: {_short(str(error), folder)}"
        else:
            notes = [] if trial.packs else ["questions asked one by one"]
            notes += [] if trial.flat_pictures else ["pictures one patch high refused"]
            notes += [] if trial.unchecked is None else ["layout by contract tests alone"]
            found = "; ".join(["**supported**", *notes])
        return f"| {family} | {found} | {time.perf_counter() - start:.1f} |"


def _short(sentence: str, folder: Path) -> str:
    """What is wrong, without where and what to do."""
    text = sentence.replace(f"{folder}: ", "").replace(
        "tried before anything was written, and cannot be pruned: ", ""
    )
    return re.sub(r"; choose a model that .*", "", text).replace("|", "\\|")


def rows() -> Iterator[str]:
    yield "| model type | found | seconds |"
    yield "|---|---|---:|"
    for family in (*FAMILIES, *STRANGERS):
        yield tried(family)


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n".join(rows()) + "\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
