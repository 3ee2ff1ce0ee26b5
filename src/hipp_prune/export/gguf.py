"""A GGUF file of the language model, for llama.cpp.

llama.cpp's ``llama`` graph has one width for all blocks. Its ``deci`` graph is the same with widths and heads of each
block's own, and is what a pruned Llama backbone is written as. The vision tower is another file, the *mmproj*, which
pruning does not change: take the base model's.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.checkpoints.ledger import trained_projector
from hipp_prune.errors import CheckpointError, UnsupportedModelError
from hipp_prune.export.exported import Exported, check_widths
from hipp_prune.export.formats import GgufPrecision
from hipp_prune.export.k_quants import (
    K_BLOCK,
    K_QUANTS,
    find_program,
    quantise_file,
    type_of,
    wheel_quantiser,
)
from hipp_prune.export.vocabulary import Vocabulary, read_vocabulary
from hipp_prune.files.packages import require_packages
from hipp_prune.files.progress import Progress
from hipp_prune.files.replacing import temporary_name
from hipp_prune.files.writing import atomic_path, check_file
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.structure import Block
from hipp_prune.models.uneven import is_stock, residual_width

_STORED = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A tensor of the file."""

    name: str
    tensor: Tensor
    heads: int | None = None
    """Where its rows are rotated: how many heads they are."""

    def array(self) -> NDArray[np.float32]:
        """Its numbers; rotated rows in llama.cpp's order, in which the two halves of a head are interleaved."""
        tensor = self.tensor.detach().float()
        if self.heads is not None:
            halves = tensor.reshape(self.heads, 2, -1, *tensor.shape[1:])
            tensor = halves.transpose(1, 2).reshape(tensor.shape)
        return tensor.contiguous().numpy()


def write_gguf(
    source: Path,
    out: Path,
    *,
    precision: GgufPrecision = "stored",
    token_ids: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Writes the language model as a GGUF file, whole or not at all.

    Args:
        source: checkpoint folder.
        out: file to write.
        precision: of the matrices; what has one axis is always stored in 32 bits.
        token_ids: whether the file may be one that takes token ids alone, because llama.cpp has no such tokenizer.
        force: replace a file that is already there.
        progress: called with (tensors written, tensors).

    Raises:
        OutputExistsError: if ``out`` exists and ``force`` is false.
        InputError: if the package that writes the format is missing, or what makes K-quants.
        UnsupportedModelError: if llama.cpp has no graph or no tokenizer for such a model.
        CheckpointError: if the checkpoint is damaged, or has a width that the precision cannot take.
        RunError: if the disk is full, or that program fails.
    """
    check_file(out, force=force)
    package = _package()
    program = find_program(precision) if precision in K_QUANTS else None
    adapter = load_model(source)
    check_widths(source, adapter)
    check_graph(adapter)
    vocabulary = read_vocabulary(adapter.processor.tokenizer, _vocabulary_size(adapter), token_ids=token_ids)
    parts = list(_parts(adapter))
    stored = _STORED[adapter.model.dtype].lower() if precision == "stored" else precision
    typed = _typed(parts, "f16" if program is not None else stored, package, blocks=len(adapter.blocks))
    with atomic_path(out) as temporary:
        full = temporary if program is None else temporary_name(out)
        try:
            _write_file(full, adapter, vocabulary, typed, package, progress)
            if program is not None:
                quantise_file(program, full, temporary, precision)
        finally:
            if program is not None:
                full.unlink(missing_ok=True)
    return Exported(
        path=out,
        num_bytes=out.stat().st_size,
        bytes_before=sum(shard.num_bytes for shard in open_shards(source)),
        notes=tuple(_notes(source, parts, vocabulary)),
    )


def _write_file(
    path: Path,
    adapter: Adapter,
    vocabulary: Vocabulary,
    typed: "_Typed",
    package: Any,
    progress: Progress | None,
) -> None:
    """The whole file.

    Args:
        path: file to write.
        adapter: the model.
        vocabulary: its tokenizer's.
        typed: its tensors.
        package: ``gguf``.
        progress: told (tensors written, tensors).
    """
    writer = package.GGUFWriter(path, "llama" if _is_even(adapter) else "deci")
    try:
        _describe(writer, adapter, package, typed.precision)
        _add_tokenizer(writer, adapter, vocabulary)
        _write(writer, typed, package, progress)
    finally:
        writer.close()


def _package() -> Any:
    require_packages("--format gguf", ["gguf"], extra="gguf")
    return import_module("gguf")


def check_graph(adapter: Adapter) -> None:
    """Refuses what llama.cpp has no graph for.

    Raises:
        UnsupportedModelError: naming what is in the way, and the way round.
    """
    config = adapter.model.config
    text = adapter.model.get_decoder().config
    if residual_width(config) is not None:
        raise UnsupportedModelError(
            "llama.cpp has no graph for a sliced residual stream (SliceGPT); expected pruned neurons or heads: serve "
            "this checkpoint with transformers"
        )
    if text.model_type != "llama":
        way = (
            "this checkpoint is a stock one, so convert it with llama.cpp's own convert_hf_to_gguf.py"
            if is_stock(config)
            else f"fill its blocks up with `hipp-prune export {_name(adapter)} --format padded --out stock`, or "
            "prune to one width with --uniform, and convert that with llama.cpp's own convert_hf_to_gguf.py"
        )
        raise UnsupportedModelError(
            f"expected a Llama backbone, as LLaVA-1.5's, found {text.model_type}, of which llama.cpp has no graph with "
            f"blocks of their own width; {way}"
        )
    if text.hidden_act != "silu":
        raise UnsupportedModelError(
            f"llama.cpp's graph of Llama activates by silu, this model by {text.hidden_act}"
        )


def _name(adapter: Adapter) -> str:
    """What the model was opened by, for a command."""
    return shlex.quote(adapter.model.name_or_path or "CKPT")


def _is_even(adapter: Adapter) -> bool:
    """Whether all blocks are alike, so that the common graph does."""
    return len(set(adapter.shape.neurons)) == 1 and len(set(map(_heads, adapter.blocks))) == 1


def _heads(block: Block) -> tuple[int, int]:
    """Query heads and key/value heads of a block."""
    attention: Any = block.attention
    width = attention.head_dim
    return attention.q_proj.out_features // width, attention.k_proj.out_features // width


def _vocabulary_size(adapter: Adapter) -> int:
    return int(adapter.model.get_input_embeddings().weight.shape[0])


def _parts(adapter: Adapter) -> Iterator[_Part]:
    """The tensors of the file, one after another."""
    decoder: Any = adapter.model.get_decoder()
    embeddings, head = (
        adapter.model.get_input_embeddings().weight,
        adapter.model.get_output_embeddings().weight,
    )
    yield _Part(name="token_embd.weight", tensor=embeddings)
    yield _Part(name="output_norm.weight", tensor=decoder.norm.weight)
    if head is not embeddings:
        yield _Part(name="output.weight", tensor=head)
    factors = _rotation_factors(decoder)
    if not torch.allclose(factors, torch.ones_like(factors), rtol=1e-5):
        yield _Part(name="rope_freqs.weight", tensor=factors)
    for index, block in enumerate(adapter.blocks):
        layer = adapter.model.get_submodule(block.name)
        yield from _block_parts(f"blk.{index}", block, layer)


def _block_parts(prefix: str, block: Block, layer: Any) -> Iterator[_Part]:
    attention: Any = block.attention
    queries, keys = _heads(block)
    yield _Part(name=f"{prefix}.attn_norm.weight", tensor=layer.input_layernorm.weight)
    yield _Part(name=f"{prefix}.ffn_norm.weight", tensor=layer.post_attention_layernorm.weight)
    linears: tuple[tuple[str, nn.Linear, int | None], ...] = (
        ("attn_q", attention.q_proj, queries),
        ("attn_k", attention.k_proj, keys),
        ("attn_v", attention.v_proj, None),
        ("attn_output", attention.o_proj, None),
        ("ffn_gate", block.gate, None),
        ("ffn_up", block.up, None),
        ("ffn_down", block.down, None),
    )
    for name, linear, heads in linears:
        yield _Part(name=f"{prefix}.{name}.weight", tensor=linear.weight, heads=heads)
        if linear.bias is not None:
            yield _Part(name=f"{prefix}.{name}.bias", tensor=linear.bias, heads=heads)


def _rotation_factors(decoder: Any) -> Tensor:
    """By what each of a head's rotations is slower than θ^(−2i/d), [d / 2]: how scaled RoPE is told."""
    text, frequencies = decoder.config, decoder.rotary_emb.inv_freq.float()
    exponents = torch.arange(len(frequencies)) / len(frequencies)
    return text.rope_parameters["rope_theta"] ** -exponents / frequencies


@dataclass(frozen=True, kw_only=True)
class _Typed:
    """The tensors of a file, and what each is stored as."""

    precision: str
    """Of the file: f32, f16, bf16, q8_0, q4_0, or one of ``K_QUANTS``."""
    parts: Sequence[_Part]
    kinds: Sequence[Any]
    """``gguf``'s type of each."""


def _typed(parts: Sequence[_Part], precision: str, package: Any, *, blocks: int) -> _Typed:
    """Vectors in 32 bits, matrices in one type, or as a K-quant's recipe has them.

    Raises:
        CheckpointError: naming the first matrix whose rows do not hold whole blocks of the type, and the alignment
            that helps.
    """
    types, tied = package.GGMLQuantizationType, all(part.name != "output.weight" for part in parts)
    kinds = []
    for part in parts:
        row = part.tensor.shape[-1]
        if part.tensor.ndim < 2:
            kinds.append(types.F32)
        elif precision in K_QUANTS:
            kinds.append(types[type_of(part.name, precision, row=row, blocks=blocks, tied=tied)])
        else:
            kinds.append(types[precision.upper()])
            block = package.GGML_QUANT_SIZES[kinds[-1]][0]
            if row % block:
                raise CheckpointError(
                    f"{kinds[-1].name} packs {block} numbers of a row together, {part.name} has rows of {row}; query "
                    f"the plan with --align {block}, or write f16"
                )
    return _Typed(precision=precision, parts=parts, kinds=kinds)


def _describe(writer: Any, adapter: Adapter, package: Any, precision: str) -> None:
    """The file's hyperparameters; widths and heads are one number where blocks are alike."""
    text = adapter.model.get_decoder().config
    attention: Any = adapter.blocks[0].attention
    head_width = attention.head_dim
    queries, keys = map(list, zip(*map(_heads, adapter.blocks), strict=True))
    widths = list(adapter.shape.neurons)
    even = _is_even(adapter)
    writer.add_name(adapter.shape.family)
    most = "ALL_F32" if precision == "f32" else f"MOSTLY_{precision.upper()}"
    writer.add_file_type(package.LlamaFileType[most])
    writer.add_quantization_version(package.GGML_QUANT_VERSION)
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_block_count(len(widths))
    writer.add_feed_forward_length(widths[0] if even else widths)
    writer.add_head_count(queries[0] if even else queries)
    writer.add_head_count_kv(keys[0] if even else keys)
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_dimension_count(head_width)
    writer.add_rope_freq_base(text.rope_parameters["rope_theta"])
    writer.add_vocab_size(_vocabulary_size(adapter))


def _add_tokenizer(writer: Any, adapter: Adapter, vocabulary: Vocabulary) -> None:
    tokenizer = adapter.processor.tokenizer
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary.pieces)
    writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    for name in ("bos", "eos", "unk", "pad"):
        if (token := getattr(tokenizer, f"{name}_token_id")) is not None:
            getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_space_prefix(vocabulary.begins_with_space)
    writer.add_add_bos_token(vocabulary.begins_with_bos)
    writer.add_chat_template(adapter.processor.chat_template)


def _write(writer: Any, typed: _Typed, package: Any, progress: Progress | None) -> None:
    """Header, hyperparameters and tensors, of which one at a time is converted."""
    tensors = []
    for part, kind in zip(typed.parts, typed.kinds, strict=True):
        block, size = package.GGML_QUANT_SIZES[kind]
        tensors.append((part, kind, part.tensor.numel() // block * size))
        writer.add_tensor_info(part.name, tuple(part.tensor.shape), np.float32, tensors[-1][-1], kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    pack = wheel_quantiser() if typed.precision in K_QUANTS else None
    for done, (part, kind, size) in enumerate(tensors, start=1):
        array = part.array()
        if pack is not None and kind.name.endswith("_K"):
            writer.write_tensor_data(pack(array, kind, size))
        else:
            writer.write_tensor_data(package.quantize(array, kind))
        if progress is not None:
            progress(done, len(tensors))


def _notes(source: Path, parts: Sequence[_Part], vocabulary: Vocabulary) -> Iterator[str]:
    """What to know before the file is used."""
    rows = {part.tensor.shape[-1] for part in parts if part.tensor.ndim > 1}
    if odd := sorted(row for row in rows if row % K_BLOCK):
        yield (
            f"K-quants pack {K_BLOCK} numbers together: llama-quantize stores rows of {', '.join(map(str, odd))} in "
            f"larger types; query the plan with --align {K_BLOCK} or --align-for gguf-k for widths they fit"
        )
    if not vocabulary.cuts_text:
        yield "llama.cpp cannot cut text as this model's tokenizer does: give token ids as the prompt, never text"
    elif vocabulary.begins_with_space != vocabulary.goes_on_with_space:
        yield (
            "llama.cpp puts a space behind a special token inside a text, this model's tokenizer does not: give token "
            "ids where one stands there"
        )
    if trained_projector(source):
        yield (
            "recovery trained the projector, so the base model's mmproj file does not fit: use the file for text, or "
            "recover with --no-projector"
        )
    else:
        yield "for pictures add the base model's mmproj file, which pruning does not change"
