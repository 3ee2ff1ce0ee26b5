"""Where the stock class takes a width a block, that is how a pruned model says them."""

import torch
import transformers

from hipp_prune.models.pruned_settings import needs_code, pruned_settings


def test_a_list_of_widths_needs_no_code() -> None:
    """Gemma 3n: ``intermediate_size`` is a list."""
    config = transformers.Gemma3nTextConfig(
        hidden_size=16, num_hidden_layers=2, intermediate_size=[24, 24], num_attention_heads=2, num_key_value_heads=2,
        head_dim=8, vocab_size=50, vocab_size_per_layer_input=50, hidden_size_per_layer_input=4, num_kv_shared_layers=0,
        activation_sparsity_pattern=[0.0, 0.0], layer_types=["sliding_attention", "full_attention"], laurel_rank=4,
    )  # fmt: skip
    settings = pruned_settings(config.to_dict(), [20, 11])
    assert settings["intermediate_size"] == [20, 11]
    assert not needs_code(settings)
    config.intermediate_size = settings["intermediate_size"]
    with torch.device("meta"):
        model = transformers.Gemma3nForCausalLM(config)
    assert [layer.mlp.down_proj.in_features for layer in model.get_decoder().layers] == [20, 11]
