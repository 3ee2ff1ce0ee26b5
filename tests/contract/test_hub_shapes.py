"""Checkpoints as the hub has them, where they differ from what ``save_pretrained`` writes here.

Settings are left out, transformers does not read all tensors, and other parts are as wide as the MLPs.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from hipp_prune.checkpoints.configs import read_config_file, write_config_file
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import UnsupportedModelError
from hipp_prune.export.pad import write_padded
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.pruning.cutting import cut_neurons
from hipp_prune.pruning.masking import apply_masks
from hipp_prune.questions.question import probe
from hipp_prune.stages.trial import try_model
from tests.strangers import tiny_stranger
from tests.tiny import FAMILIES, tiny_image, tiny_llava
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import make_plan

pytestmark = pytest.mark.filterwarnings("ignore:.*is not among the tested families")
LLAMA = 11_008
"""Neurons of a block of the first Llama, which LLaVA-1.5's ``config.json`` leaves out."""


def llava_that_leaves_out_its_width(tmp: Path) -> Path:
    folder = tiny_llava(tmp, neurons=LLAMA)
    config = read_config_file(folder / "config.json")
    del config["text_config"]["intermediate_size"]
    write_config_file(folder / "config.json", config)
    return folder


def qwen_with_heads_for_several_tokens(tmp: Path) -> Path:
    """Qwen3.5's files hold a block more (``mtp``), which transformers leaves out."""
    folder = FAMILIES["qwen3_5"](tmp)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    block = "model.language_model.layers.1."
    more = {name: tensors[name] for name in tensors if name.startswith(block)}
    assert any(name.endswith("mlp.gate_proj.weight") for name in more)
    copies = {name.replace(block, "mtp.layers.0."): tensor.clone() for name, tensor in more.items()}
    save_file(tensors | copies, path, metadata={"format": "pt"})
    return folder


def idefics2(tmp: Path) -> Path:
    """Its connector is as wide as the configuration says the blocks' MLPs are."""
    return tiny_stranger(tmp, "idefics2")


@torch.no_grad()
def answer(adapter: Adapter) -> Tensor:
    picture = Path("picture")
    features = {picture: adapter.encode_images([tiny_image()])[0]}
    asked = [probe("Is there a red cup in the image?", picture)]
    return adapter.answer_logits(*adapter.encode(asked, features))


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize(
    "build", [llava_that_leaves_out_its_width, qwen_with_heads_for_several_tokens, idefics2]
)
def test_pruned_they_open_and_answer_as_the_masked_model(
    build: Callable[[Path], Path], alike: bool, tmp_path: Path
) -> None:
    folder, out = build(tmp_path), tmp_path / "out"
    adapter = load_model(folder)
    try_model(adapter, folder)
    kept = [neurons // 2 - (0 if alike else block) for block, neurons in enumerate(adapter.shape.neurons)]
    plan = make_plan(adapter, "coupled", kept)
    with apply_masks(adapter, plan.keep_masks()):
        expected = answer(adapter)
    prune_checkpoint(folder, plan, out)
    assert_agree(answer(load_model(out)), expected)
    opened, info = AutoModelForImageTextToText.from_pretrained(
        out, trust_remote_code=True, output_loading_info=True
    )
    assert not any(info[f"{kind}_keys"] for kind in ("missing", "unexpected", "mismatched"))
    assert_agree(answer(type(adapter)(opened.eval(), adapter.processor)), expected)


def test_what_transformers_leaves_out_is_copied_as_it_is(tmp_path: Path) -> None:
    folder, out = qwen_with_heads_for_several_tokens(tmp_path), tmp_path / "out"
    adapter = load_model(folder)
    prune_checkpoint(folder, make_plan(adapter, "coupled", (20, 20)), out)
    before, after = (load_file(each / "model.safetensors") for each in (folder, out))
    more = [name for name in before if name.startswith("mtp.")]
    assert more
    for name in more:
        assert torch.equal(before[name], after[name])


def widths_said(config: dict[str, object]) -> Sequence[object]:
    """The model's one width, and its blocks' own."""
    text = config["text_config"]
    assert isinstance(text, dict)
    own = text.get("per_layer_config") or {}
    return [text["intermediate_size"], *(each["intermediate_size"] for each in own.values())]


def test_a_part_as_wide_as_the_blocks_keeps_its_width_in_files_and_in_memory(tmp_path: Path) -> None:
    folder = idefics2(tmp_path)
    adapter = load_model(folder)
    plan = make_plan(adapter, "coupled", (20, 20))
    prune_checkpoint(folder, plan, tmp_path / "out")
    assert widths_said(json.loads((tmp_path / "out" / "config.json").read_text())) == [48, 20, 20]
    smaller = cut_neurons(adapter.model, plan.keep_masks())
    smaller.save_pretrained(tmp_path / "saved")
    assert widths_said(json.loads((tmp_path / "saved" / "config.json").read_text())) == [48, 20, 20]


def test_such_a_model_is_not_filled_up(tmp_path: Path) -> None:
    folder = idefics2(tmp_path)
    prune_checkpoint(folder, make_plan(load_model(folder), "coupled", (30, 20)), tmp_path / "out")
    with pytest.raises(
        UnsupportedModelError, match=r"connector\.modality_projection\.gate_proj\.weight is as wide"
    ):
        write_padded(tmp_path / "out", tmp_path / "padded")
    assert not (tmp_path / "padded").exists()
