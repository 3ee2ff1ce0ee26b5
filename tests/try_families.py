"""Which families can be pruned, found by trying a tiny model of each: ``python -m tests.try_families``.

Writes ``models/tried.json`` and the table of ``docs/families.md``. It needs no download and takes a minute or two;
families that are named (``python -m tests.try_families gemma4 glm46v``) are tried anew, others left as they were.
Those whose tower is timm's are left too, where that is not installed: ``build/timm`` of ``make test-timm`` has it.
"""

import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from transformers import CONFIG_MAPPING

from hipp_prune.baselines.methods import load_baseline
from hipp_prune.errors import HippPruneError
from hipp_prune.export.gguf import check_graph
from hipp_prune.export.onnx import check_vision
from hipp_prune.export.pad import check_fillable
from hipp_prune.export.quantised import check_matrices
from hipp_prune.models import SUPPORTED, load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.family import CAPABILITIES, ONE_PICTURE, Capability
from hipp_prune.models.tried import TRIED_FILE, FamilyStanding, Tried, tried_families
from hipp_prune.stages.trial import try_model
from tests.strangers import tiny_stranger
from tests.tiny import FAMILIES, NEED_TIMM

PAGE = Path(__file__).parents[1] / "docs" / "families.md"
BEGIN, END = "<!-- families: tried -->\n", "<!-- families: end -->\n"
BY_CONFIGURATION = (
    "gemma4_unified", "kimi_k25", "molmo2", "muse_glimmer",
    "blip", "evolla", "git", "idefics", "kosmos-2", "kosmos-2.5", "mistral4", "mllama", "pi0", "pix2struct",
    "pp_formulanet", "t5gemma2", "udop", "vision-encoder-decoder",
    "cosmos3_edge", "instructblipvideo", "lfm3_vl",
    "dots3_note", "ernie4_5_vl_moe", "glm4v_moe", "inkling2", "inkling_mm_model", "minimax_m3_vl", "mistral_large4",
    "muse_spark", "qwen3_omni_moe_thinker", "qwen3_vl_moe", "step3p7",
)  # fmt: skip
"""Families that are refused for what transformers' default configuration of them says; nothing is built."""
STRANGERS = (
    "llava_next_video", "qianfan_ocr", "deepseek_vl", "deepseek_vl_hybrid", "janus",
    "perception_lm", "idefics2", "video_llama_3", "minicpmv4_7", "lighton_ocr", "paddleocr_vl",
    "glm46v", "cohere_compass", "exaone4_5", "hyperclovax_vision_v2",
    "got_ocr2", "pp_chart2table", "ovis2", "chameleon", "granite4_vision", "hunyuan_vl",
    "cosmos3_omni", "glm_ocr", "glmga", "shieldgemma2",
    "cohere2_vision", "lfm2_vl", "llama4", "minicpm_ocr", "nemotron_h_omni",
    "aria", "qwen3_5_moe", "unlimited_ocr", "deepseek_ocr2", "diffusion_gemma", "glm5_next", "qwen4_exp",
    "blip-2", "instructblip", "fuyu", "video_llava", "granite_docling",
    *BY_CONFIGURATION,
)  # fmt: skip
"""Families outside the table, supported ones first."""
PACKAGES = {"gemma3n": "timm", "perception_lm": "timm and torchvision"}
"""What families need beside what we depend on."""
UNTRIED = {
    "emu3": "its tower makes codes of a book, whose tiny model takes minutes a picture",
    "florence2": "encoder and decoder: its forward takes no encoded images",
    "qwen2_5_omni_thinker": "a part of a model, for which transformers has no processor of its own",
}
"""Image-text-to-text classes of transformers that no tiny model stands for here, and what is known of them."""


def tiny_model(tmp: Path, family: str) -> Path:
    """A checkpoint folder of a family; of one that needs a package we lack, the configuration alone."""
    if family in FAMILIES:
        return FAMILIES[family](tmp)
    if family not in BY_CONFIGURATION:
        return tiny_stranger(tmp, family)
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
        remarks += [f"needs {PACKAGES[family]}"] if family in PACKAGES else []
        remarks += [] if trial.unchecked is None else ["layout by contract tests alone"]
        cannot = _lacking(adapter, folder) if row is None else dict(row.cannot)
        standing: FamilyStanding = "by discovery" if row is None else "tested"
        return Tried(**named, standing=standing, remarks=tuple(remarks), cannot=cannot)


def _lacking(adapter: Adapter, folder: Path) -> dict[Capability, str]:
    """What a family outside the table cannot do, by asking the code that would."""
    asked: dict[Capability, Callable[[], object]] = {
        "llm-pruner": lambda: load_baseline("llm-pruner").refuse_model(adapter),
        "slicegpt": lambda: load_baseline("slicegpt").refuse_model(adapter),
        "gguf": lambda: check_graph(adapter),
        "onnx": lambda: check_vision(folder, adapter),
        "padded": lambda: check_fillable(folder),
        "quantising": lambda: check_matrices(adapter, "fp8", 1),
    }
    lacking: dict[Capability, str] = {
        "packing": "transformers' own processor lays out its prompts, one by one",
        "several pictures": ONE_PICTURE,
    }
    for capability, ask in asked.items():
        try:
            ask()
        except HippPruneError as error:
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


def main(named: Sequence[str]) -> None:
    families = (*dict.fromkeys((*FAMILIES, *NEED_TIMM)), *STRANGERS)
    kept = {each.model_type: each for each in tried_families() if named and each.model_type not in named}
    if not find_spec("timm"):
        kept |= {each.model_type: each for each in tried_families() if each.model_type in PACKAGES}
    found = [kept.get(family) or try_family(family) for family in families]
    found.sort(key=lambda each: get_args(FamilyStanding).index(each.standing))
    TRIED_FILE.write_text(
        json.dumps([asdict(each) for each in found], indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n".join(lines(found)) + "\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
