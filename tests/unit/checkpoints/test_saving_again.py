"""Save → load → save: what transformers writes of a pruned model is stable, file by file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.models import load_model
from tests.tiny import tiny_llava, tiny_qwen2_5_vl
from tests.unit.checkpoints.tiny_plans import make_plan

VARIANTS: dict[str, tuple[Callable[[Path], Path], tuple[int, int], bool]] = {
    "llava": (tiny_llava, (30, 21), False),
    "llava-biased-tied": (lambda tmp: tiny_llava(tmp, mlp_bias=True, tied=True), (30, 21), False),
    "llava-compensated": (tiny_llava, (30, 30), True),
    "qwen2_5_vl": (tiny_qwen2_5_vl, (30, 21), False),
    "qwen2_5_vl-equal": (tiny_qwen2_5_vl, (30, 30), False),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_second_save_writes_the_same_bytes(variant: str, tmp_path: Path) -> None:
    build, kept, compensated = VARIANTS[variant]
    source = build(tmp_path)
    biases = [torch.randn(32, generator=torch.Generator().manual_seed(0))] * 2 if compensated else None
    plan = make_plan(load_model(source), "coupled", kept)
    prune_checkpoint(source, plan, tmp_path / "0", down_biases=biases)
    saved = []
    for number in (0, 1):
        adapter = load_model(tmp_path / str(number))
        assert adapter.shape.neurons == kept
        out = tmp_path / str(number + 1)
        adapter.model.save_pretrained(out)
        adapter.processor.tokenizer.save_pretrained(out)
        adapter.processor.image_processor.save_pretrained(out)
        (out / "chat_template.jinja").write_text(adapter.processor.chat_template)
        saved.append({path.name: path.read_bytes() for path in out.iterdir() if path.is_file()})
    assert saved[0] == saved[1]
    assert ("modeling_hipp_prune.py" in saved[0]) == (len(set(kept)) > 1 or compensated)
