"""llama.cpp as an oracle: what it answers to token ids or text, through the prebuilt wheel."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hipp_prune.models.adapter import Adapter

STEPS = 6


def serve(path: Path) -> Any:
    """A server in this process that computes in 32 bits, cache included."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx, settings.n_parallel, settings.n_gpu_layers, settings.port = 256, 1, 0, 0
    settings.cpuparams.n_threads = 1
    settings.warmup = False
    settings.verbosity = 0
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(settings)


def answer(server: Any, prompt: str | Sequence[int], vocabulary: int) -> tuple[list[int], Tensor]:
    """Greedy token ids, and the log-probabilities of every token at every step, [steps, V]."""
    request = {"prompt": prompt, "n_predict": STEPS, "temperature": 0.0, "n_probs": vocabulary}
    found = server.handle_completions({**request, "ignore_eos": True, "cache_prompt": False})
    steps = found["choices"][0]["logprobs"]["content"]
    logprobs = torch.full((len(steps), vocabulary), float("nan"))
    for row, step in zip(logprobs, steps, strict=True):
        for token in step["top_logprobs"]:
            row[token["id"]] = token["logprob"]
    return [step["id"] for step in steps], logprobs


@torch.no_grad()
def logprobs(adapter: Adapter, ids: Sequence[int], tokens: Sequence[int]) -> Tensor:
    """What transformers gives every token before each of ``tokens``, which follow the prompt; [steps, V]."""
    read = torch.tensor([[*ids, *tokens[:-1]]])
    logits: Tensor = adapter.model(input_ids=read).logits[0, len(ids) - 1 :]
    return logits.float().log_softmax(-1)


def without_end(adapter: Adapter, scores: Tensor) -> Tensor:
    """The scores that llama.cpp chooses among: it was told to go on."""
    return scores.index_fill(-1, torch.tensor([adapter.processor.tokenizer.eos_token_id]), -torch.inf)
