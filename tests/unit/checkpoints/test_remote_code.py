"""Pruned checkpoints in a fresh process that knows only torch and transformers."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.models import load_model
from tests.tiny import tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.checkpoints.test_checkpoint import cut_by_hand
from tests.unit.checkpoints.tiny_plans import logits, make_plan, stock_inputs

Results = dict[tuple[str, str], tuple[dict[str, Tensor], Tensor]]

VARIANTS: dict[str, Callable[[Path], Path]] = {
    "llava": tiny_llava,
    "llava-tied-biased": lambda tmp: tiny_llava(tmp, tied=True, mlp_bias=True),
    "llava-sharded-bf16": lambda tmp: tiny_llava(tmp, max_shard_size="40KB", dtype=torch.bfloat16),
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen2_5_vl-untied-sharded": lambda tmp: tiny_qwen2_5_vl(tmp, tied=False, max_shard_size="40KB"),
    "qwen2_5_vl-bf16": lambda tmp: tiny_qwen2_5_vl(tmp, dtype=torch.bfloat16),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """(variant, way of loading) → what the fresh process computed, and what it should be."""
    tmp = tmp_path_factory.mktemp("fresh")
    jobs, expected = [], {}
    for variant, build in VARIANTS.items():
        here = tmp / variant
        source = build(here)
        adapter = load_model(source)
        plan = make_plan(adapter, "coupled", (30, 21))
        prune_checkpoint(source, plan, here / "pruned")
        inputs = stock_inputs(adapter)
        save_file(inputs, here / "inputs.safetensors")
        model = cut_by_hand(adapter, plan).model.float()
        with torch.no_grad():
            states = model.base_model(**inputs).last_hidden_state
        ways = {"text": ("AutoModelForImageTextToText", ""), "base": ("AutoModel", "")}
        ways["resaved"] = ("AutoModelForImageTextToText", str(here / "resaved"))
        load_model(here / "pruned").model.save_pretrained(here / "by-us")
        ways["by-us"] = ("AutoModelForImageTextToText", "")
        ways["hub"] = ("AutoModelForImageTextToText", "")
        checkpoints = {"by-us": str(here / "by-us"), "hub": cached(here / "pruned", tmp / "hub", variant)}
        for way, (auto, resave) in ways.items():
            expected[variant, way] = states if way == "base" else logits(model, inputs)
            checkpoint = checkpoints.get(way, str(here / "pruned"))
            job = {"checkpoint": checkpoint, "auto": auto, "resave": resave}
            job |= {"inputs": str(here / "inputs.safetensors"), "result": str(here / f"{way}.safetensors")}
            jobs.append(job)
    (tmp / "jobs.json").write_text(json.dumps(jobs))
    run_fresh(tmp / "jobs.json")
    for variant in VARIANTS:
        shutil.copytree(
            tmp / variant / "pruned",
            tmp / variant / "ours",
            ignore=shutil.ignore_patterns("*safetensors*", "files.jsonl"),
        )
        shutil.copytree(tmp / variant / "resaved", tmp / variant / "ours", dirs_exist_ok=True)
        inputs = load_file(tmp / variant / "inputs.safetensors")
        ours = load_model(tmp / variant / "ours").model
        kind = torch.empty(0, dtype=ours.dtype)
        save_file({"result": logits(ours.float(), inputs), "type": kind}, tmp / variant / "ours.safetensors")
        expected[variant, "ours"] = expected[variant, "text"]
    return {
        key: (load_file(tmp / key[0] / f"{key[1]}.safetensors"), value) for key, value in expected.items()
    }


def cached(checkpoint: Path, hub: Path, name: str) -> str:
    """Fills the hub's cache as a download does; returns the name it then is found by."""
    commit, folder = "0123456789" * 4, hub / f"models--owner--{name}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    shutil.copytree(checkpoint, folder / "snapshots" / commit)
    return f"owner/{name}"


def run_fresh(jobs: Path) -> None:
    script = Path(__file__).with_name("fresh_process.py")
    caches = {"HF_MODULES_CACHE": str(jobs.parent / "modules"), "HF_HUB_CACHE": str(jobs.parent / "hub")}
    environment = os.environ | caches | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(jobs)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["text", "base", "resaved", "ours", "by-us", "hub"])
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_fresh_process_computes_the_same(results: Results, variant: str, way: str) -> None:
    """``ours``: what the fresh process saved again, in our own loader; ``by-us``: the other way round."""
    found, expected = results[variant, way]
    assert found["type"].dtype == (torch.bfloat16 if "bf16" in variant else torch.float32)
    assert_agree(found["result"], expected)
