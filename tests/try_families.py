"""Which families can be pruned, found by trying a tiny model of each: ``python -m tests.try_families``.

Writes ``models/tried.json`` and the table of ``docs/families.md``. It needs no download and takes half a minute.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from transformers import CONFIG_MAPPING

from hipp_prune.checkpoints.heads import head_parameters
from hipp_prune.checkpoints.residual import touching
from hipp_prune.errors import HippPruneError
from hipp_prune.export.gguf import check_graph
from hipp_prune.export.onnx import check_vision
from hipp_prune.models import SUPPORTED, load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.family import CAPABILITIES, ONE_PICTURE, Capability
from hipp_prune.models.tried import TRIED_FILE, FamilyStanding, Tried
from hipp_prune.stages.trial import try_model
from tests.strangers import tiny_stranger
from tests.tiny import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "families.md"
BEGIN, END = "<!-- families: tried -->\n", "<!-- families: end -->\n"
STRANGERS = (
    "llava_next_video", "vipllava", "qianfan_ocr", "deepseek_vl", "janus",
    "idefics2", "video_llama_3", "minicpmv4_6", "minicpmv4_7", "lighton_ocr", "paddleocr_vl",
    "got_ocr2", "gemma3n", "gemma4", "gemma4_unified", "ovis2",
    "kimi_k25", "cohere2_vision", "lfm2_vl", "llama4", "minicpm_ocr", "nemotron_h_omni",
    "aria", "qwen3_5_moe", "unlimited_ocr", "blip-2", "instructblip", "fuyu", "video_llava", "granite_docling",
)  # fmt: skip
"""Families outside the table, supported ones first."""


def tiny_model(tmp: Path, family: str) -> Path:
    """A checkpoint folder of a family; of one that needs a package we lack, the configuration alone."""
    if family in FAMILIES:
        return FAMILIES[family](tmp)
    try:
        return tiny_stranger(tmp, family)
    except ImportError:
        folder = tmp / family
        CONFIG_MAPPING[family]().save_pretrained(folder)
        return folder


def try_family(family: str) -> Tried:
    """What comes of a tiny model of a family."""
    row = SUPPORTED.get(family)
    named = {"model_type": family, "name": family if row is None else row.name}
    with TemporaryDirectory() as tmp, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = tiny_model(Path(tmp), family)
        try:
            adapter = load_model(folder)
            trial = try_model(adapter, folder)
        except HippPruneError as error:
            return Tried(**named, standing="refused", reason=_short(str(error), folder), cannot={})
        remarks = [] if trial.flat_pictures else ["pictures one patch high refused"]
        remarks += [] if trial.unchecked is None else ["layout by contract tests alone"]
        cannot = _lacking(adapter, folder) if row is None else dict(row.cannot)
        standing: FamilyStanding = "by discovery" if row is None else "tested"
        return Tried(**named, standing=standing, remarks=tuple(remarks), cannot=cannot)


def _lacking(adapter: Adapter, folder: Path) -> dict[Capability, str]:
    """What a family outside the table cannot do, by asking the code that would."""
    asked: dict[Capability, Callable[[], object]] = {
        "llm-pruner": lambda: [head_parameters(block) for block in adapter.blocks],
        "slicegpt": lambda: touching(adapter),
        "gguf": lambda: check_graph(adapter),
        "onnx": lambda: check_vision(folder, adapter),
    }
    lacking: dict[Capability, str] = {
        "packing": "transformers' own processor lays out its prompts, one by one",
        "several pictures": ONE_PICTURE,
    }
    for capability, ask in asked.items():
        try:
            ask()
        except (HippPruneError, AttributeError) as error:
            lacking[capability] = _short(str(error), folder)
    return lacking


def _short(sentence: str, folder: Path) -> str:
    """What is wrong, without where and what to do."""
    text = sentence.replace(f"{folder}: ", "").replace(
        "tried before anything was written, and cannot be pruned: ", ""
    )
    return re.sub(r"; choose a model that .*", "", text).replace("|", "\\|")


def lines(found: Sequence[Tried]) -> Iterator[str]:
    """The table of ``docs/families.md``: a family a row, a capability a column."""
    yield f"| model type | standing | {' | '.join(CAPABILITIES)} | remarks |"
    yield f"|---|---|{'---|' * len(CAPABILITIES)}---|"
    for each in found:
        marks = [
            "" if each.standing == "refused" else "no" if name in each.cannot else "yes"
            for name in CAPABILITIES
        ]
        remarks = each.reason or "; ".join(each.remarks)
        yield f"| {each.model_type} | {each.standing} | {' | '.join(marks)} | {remarks} |"


def main() -> None:
    found = [try_family(family) for family in (*FAMILIES, *STRANGERS)]
    found.sort(key=lambda each: get_args(FamilyStanding).index(each.standing))
    TRIED_FILE.write_text(
        json.dumps([asdict(each) for each in found], indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n".join(lines(found)) + "\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
