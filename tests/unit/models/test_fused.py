"""A fused MLP that was split computes the same and has its stock names again where it is written."""

from copy import deepcopy

import pytest
import torch
import transformers
from torch import nn

from hipp_prune.models.fused import SplitMlp, split_fused
from tests.unit.models.test_structure import llava


def backbone(model_type: str) -> nn.Module:
    config = transformers.AutoConfig.for_model(
        model_type, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, vocab_size=50, pad_token_id=0,
    )  # fmt: skip
    model: nn.Module = transformers.AutoModelForCausalLM.from_config(config)
    return model


@pytest.mark.parametrize("model_type", ["phi3", "glm4"])
def test_the_halves_compute_what_the_whole_does(model_type: str) -> None:
    stock = backbone(model_type)
    split = deepcopy(stock)
    split_fused(split)  # type: ignore[arg-type]
    mlp = split.get_submodule("model.layers.0.mlp")
    assert isinstance(mlp, SplitMlp)
    states = torch.randn(2, 3, 16)
    assert torch.allclose(mlp(states), stock.get_submodule("model.layers.0.mlp")(states), atol=1e-6)
    assert split.state_dict().keys() == stock.state_dict().keys()
    for name, tensor in stock.state_dict().items():
        assert torch.equal(split.state_dict()[name], tensor), name


def test_halves_read_what_a_whole_wrote() -> None:
    one, other = backbone("phi3"), backbone("phi3")
    split_fused(other)  # type: ignore[arg-type]
    other.load_state_dict(one.state_dict())
    assert all(torch.equal(tensor, one.state_dict()[name]) for name, tensor in other.state_dict().items())


def test_other_mlps_stay() -> None:
    model = llava("llama")
    before = model.get_decoder().layers[0].mlp
    split_fused(model)
    assert model.get_decoder().layers[0].mlp is before
