"""A language model of two random blocks that stands in for SmolLM2, which takes a package and 540 MB."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from hipp_prune.experiments.toy.families import LLAVA
from hipp_prune.experiments.toy.tokenizer import build


def tiny_language() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, and a tokenizer that knows all words of the embedded world."""
    tokenizer = build(LLAVA)
    tokenizer.add_tokens(["F", "G"])  # counts go up to six, the embedded exam to five options
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config), tokenizer
