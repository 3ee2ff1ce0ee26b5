"""Every stage on real shapes with random weights: seconds and peak memory of each, without downloading anything.

Run on a GPU: python benchmarks/real_shapes.py --shape llava-1.5-7b --device cuda --dtype bfloat16
Try anywhere:  python benchmarks/real_shapes.py --shape small
"""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
import tyro
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from hipp_prune import api
from hipp_prune.calibration import Calibration
from hipp_prune.models.loading import local_folder
from hipp_prune.policy.network import PlanPolicy
from hipp_prune.preference import Preference
from hipp_prune.questions.spec import load_questions
from hipp_prune.search.answers import PolicyAnswers
from hipp_prune.search.config import SearchConfig
from hipp_prune.search.loop import random_ratios
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.planner import Planner

Shape = Literal["llava-1.5-7b", "qwen2.5-vl-3b", "small"]
PLANS = 8


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    shape: Shape = "small"
    """Public configuration whose shapes are built."""
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    folder: Path | None = None
    """Where checkpoints are written (16 GB for 7B in bfloat16, twice); a temporary folder by default."""
    questions: int = 64
    """Questions of calibration and of an evaluation."""


def llava(size: Literal["7b", "small"]) -> tuple[type, LlavaConfig]:
    """LLaVA-1.5's public configuration, or a small one of the same build."""
    large = size == "7b"
    text = {
        "model_type": "llama",
        "vocab_size": 32064 if large else 512,
        "hidden_size": 4096 if large else 128,
        "intermediate_size": 11008 if large else 344,
        "num_hidden_layers": 32 if large else 4,
        "num_attention_heads": 32 if large else 4,
        "max_position_embeddings": 4096,
    }
    vision = {
        "model_type": "clip_vision_model",
        "hidden_size": 1024 if large else 64,
        "intermediate_size": 4096 if large else 128,
        "num_hidden_layers": 24 if large else 3,
        "num_attention_heads": 16 if large else 2,
        "image_size": 336,
        "patch_size": 14 if large else 56,
        "projection_dim": 768 if large else 64,
    }
    return LlavaForConditionalGeneration, LlavaConfig(
        text_config=text, vision_config=vision, vision_feature_layer=-2
    )


def qwen() -> tuple[type, Qwen2_5_VLConfig]:
    """Qwen2.5-VL-3B's public configuration."""
    text = {
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }
    vision = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)
    return Qwen2_5_VLForConditionalGeneration, config


def build(settings: Settings, folder: Path) -> None:
    """Writes a checkpoint with random weights; tokenizer and processor files come from the embedded models."""
    is_qwen = settings.shape.startswith("qwen")
    toy = local_folder("toy-qwen2.5-vl" if is_qwen else "toy-llava")
    model_class, config = qwen() if is_qwen else llava("7b" if settings.shape.endswith("7b") else "small")
    toy_config = json.loads((toy / "config.json").read_text())
    for key in ("image_token_id", "image_token_index", "video_token_id", "vision_start_token_id"):
        if key in toy_config:
            setattr(config, key, toy_config[key])
    with torch.device(settings.device):
        torch.set_default_dtype(getattr(torch, settings.dtype))
        model = model_class(config)
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    for path in toy.iterdir():
        copied = path.suffix != ".safetensors" and path.name != "processor_config.json"
        if copied and not (folder / path.name).exists():
            shutil.copy(path, folder)
    _enlarge_pictures(folder / "preprocessor_config.json", is_qwen=is_qwen)


def _enlarge_pictures(path: Path, *, is_qwen: bool) -> None:
    """336 pixels a side, patches of 14: 576 image tokens in LLaVA, 144 merged ones in Qwen2.5-VL."""
    stored = json.loads(path.read_text())
    if is_qwen:
        stored |= {"size": {"shortest_edge": 336**2, "longest_edge": 336**2}, "patch_size": 14}
    else:
        stored |= {"size": {"height": 336, "width": 336}, "crop_size": {"height": 336, "width": 336}}
    path.write_text(json.dumps(stored))


def timed(name: str, settings: Settings, stage: Callable[[], Any]) -> Any:
    """Runs a stage and prints its seconds and peak memory."""
    on_gpu = settings.device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = stage()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    peak = (
        torch.cuda.max_memory_allocated()
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    sys.stdout.write(f"| {name} | {seconds:.1f} s | {peak / 2**30:.2f} GiB |\n")
    sys.stdout.flush()
    return result


def main(settings: Settings) -> None:
    """Builds, calibrates, evaluates plans, prunes, reloads."""
    options = api.ModelOptions(device=settings.device, dtype=settings.dtype)
    with TemporaryDirectory() as temporary:
        root = settings.folder or Path(temporary)
        dense, run = str(root / settings.shape), root / "run"
        sys.stdout.write(
            f"| stage ({settings.shape}, {settings.dtype}) | time | peak memory |\n|---|---|---|\n"
        )
        timed("build and save random weights", settings, lambda: build(settings, Path(dense)))
        timed("load", settings, lambda: options.load(dense))
        directory = timed(
            f"calibrate on {settings.questions} questions (load included)",
            settings,
            lambda: api.calibrate(
                dense, ["toyworld"], run, count=settings.questions, options=options, force=True
            ),
        )
        config = SearchConfig(minibatch=settings.questions)
        questions = load_questions(["toyworld"], "search", cache=directory.cache)[: 4 * settings.questions]
        problem = timed(
            "sort neurons and encode pictures (load included)",
            settings,
            lambda: ModelProblem(
                options.load(dense), Calibration.load(directory.calibration), questions, config
            ),
        )
        kept = problem.space.kept(random_ratios(problem, config, PLANS, np.random.default_rng(0)))
        problem.evaluate(kept[0], "warm", config.minibatch)
        timed(
            f"evaluate {PLANS} plans",
            settings,
            lambda: [problem.evaluate(plan, "warm", config.minibatch) for plan in kept],
        )
        planner = Planner(
            answers=PolicyAnswers(
                policy=PlanPolicy(problem.state.shape[1]).eval(),
                state=problem.state,
                space=problem.space,
                config=config,
            ),
            space=problem.space,
            config=config,
            state=problem.state,
            features=problem.states.names,
            orders=tuple(problem.sorted.rankings),
            scale=(1.0, 1.0, 1.0),
        )
        plan = timed(
            "query", settings, lambda: planner.query(Preference.parse("1,1,1"), sparsity=0.225, align=64)
        )
        timed("prune and save", settings, lambda: api.prune(dense, plan, root / "smaller", force=True))
        timed("reload", settings, lambda: options.load(root / "smaller"))


if __name__ == "__main__":
    main(tyro.cli(Settings))
