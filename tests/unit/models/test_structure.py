"""Models that lack something are refused by name of what they lack."""

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models import structure

SMALL = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": 50, "pad_token_id": 0,
}  # fmt: skip
VISION = {
    "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
}  # fmt: skip


def llava(model_type: str, **more: Any) -> transformers.PreTrainedModel:
    text = {"model_type": model_type, **SMALL, **more}
    config = transformers.LlavaConfig(vision_config=VISION, text_config=text, image_token_index=49)
    with torch.device("meta"):
        return transformers.LlavaForConditionalGeneration(config)


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3", "gemma2"])
def test_gated_backbones_of_any_kind(model_type: str) -> None:
    (block,) = structure.find_blocks(llava(model_type))
    assert block.gate.weight.shape == block.up.weight.shape == block.down.weight.shape[::-1] == (24, 16)
    assert block.name == "model.language_model.layers.0"
    assert hasattr(block.attention, "o_proj")


@pytest.mark.parametrize(
    ("model_type", "more", "message"),
    [
        ("mixtral", {"num_local_experts": 2}, "mixture of experts"),
        ("gpt_neox", {}, r"lacks a gated MLP \(`gate_proj`"),
    ],
)
def test_what_a_model_lacks(model_type: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(
        UnsupportedModelError, match=f"LlavaForConditionalGeneration is not supported.*({message})"
    ):
        structure.find_blocks(llava(model_type, **more))


def test_a_quantised_projection_is_no_linear() -> None:
    model = llava("llama")
    structure.find_blocks(model)
    model.get_decoder().layers[0].mlp.up_proj = nn.Identity()
    with pytest.raises(UnsupportedModelError, match="a gated MLP"):
        structure.find_blocks(model)


def test_a_backbone_without_blocks() -> None:
    model = llava("llama")
    model.get_decoder().layers = nn.ModuleList()
    with pytest.raises(UnsupportedModelError, match="a language backbone with a list of `layers`"):
        structure.find_blocks(model)


def test_blocks_without_an_mlp() -> None:
    model = llava("llama")
    del model.get_decoder().layers[0].mlp
    with pytest.raises(UnsupportedModelError, match=r"an `mlp` in model\.language_model\.layers\.0"):
        structure.find_blocks(model)


def test_no_block_attends() -> None:
    model = llava("llama")
    del model.get_decoder().layers[0].self_attn
    assert structure.find_blocks(model)[0].attention is None
    with pytest.raises(UnsupportedModelError, match="self-attention"):
        structure.check_structure(model)


def test_a_forward_that_takes_no_encoded_images() -> None:
    with pytest.raises(UnsupportedModelError, match="does not take encoded images"):
        structure.check_class(transformers.LlamaForCausalLM)


def test_image_tokens_that_see_each_other() -> None:
    text = {**SMALL, "head_dim": 8}
    vision = {**VISION, "model_type": "siglip_vision_model"}
    with torch.device("meta"):
        model = transformers.Gemma3ForConditionalGeneration(
            transformers.Gemma3Config(text_config=text, vision_config=vision)
        )
    assert not structure.takes_any_mask(model), (
        "a mask of ours would not tell which tokens are of one picture"
    )


def test_a_config_without_an_image_token() -> None:
    with pytest.raises(UnsupportedModelError, match="names no image token"):
        structure.image_token_id(transformers.LlamaConfig())


def test_blocks_that_differ_in_biases() -> None:
    config = transformers.LlavaConfig(
        vision_config=VISION, text_config={"model_type": "llama", **SMALL, "num_hidden_layers": 2}
    )
    model = transformers.LlavaForConditionalGeneration(config)
    model.get_decoder().layers[1].mlp.gate_proj = nn.Linear(16, 24, bias=True)
    with pytest.raises(UnsupportedModelError, match="all with or all without biases"):
        structure.measure(model, structure.find_blocks(model))
