"""PEFT on a pruned checkpoint, as its users do it: attach LoRA, train, merge, save, load again."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from hipp_prune.checkpoints.folders import copy_companions
from hipp_prune.models import load_model
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import logits, stock_inputs

LANGUAGE = r".*language_model.*\.(q_proj|o_proj|gate_proj|up_proj|down_proj)"
"""Attention and the projections of uneven width, not the vision tower's."""


def test_lora_is_attached_trained_merged_and_saved(folder: Path, tmp_path: Path) -> None:
    adapter = load_model(folder)
    inputs, before = stock_inputs(adapter), logits(adapter.model, stock_inputs(adapter))
    model = get_peft_model(adapter.model, LoraConfig(r=2, target_modules=LANGUAGE))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):  # one half of LoRA begins at zero, so the first step moves only the other
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    merged = model.merge_and_unload()
    trained = logits(merged, inputs)
    assert not torch.allclose(trained, before, atol=1e-2)
    merged.save_pretrained(tmp_path / "merged")
    copy_companions(folder, tmp_path / "merged")
    loaded = load_model(tmp_path / "merged")
    assert loaded.shape.neurons == (30, 21)
    assert_agree(logits(loaded.model, inputs), trained)
