"""Two-block random models with real checkpoint folders: stock classes, no downloads, a few hundred kB each.

Every builder writes config, safetensors, tokenizer, image processor and chat template into a folder and returns it, so
that ``load_model(folder)`` and ``from_pretrained(folder)`` take the same path as for a full-size checkpoint. The
tokenizers are the families' own kinds (Llama: metaspace BPE with byte fallback and a leading ``<s>``; Qwen: byte-level
BPE), trained on a handful of sentences: every string can be encoded, and common words are one token.
"""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] if content['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] if content['type'] == 'text' %}{{ content['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""The template of the hub's ``llava-1.5`` checkpoints, shortened: no system sentence."""

CHATML_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"

_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ 'IMAGE' }}{% else %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_SENTENCES = (
    "Is there a red cup in the image?",
    "Is there an orange bowl left of the blue chair in the picture?",
    "Answer the question using a single word or phrase.",
    "Answer with the option's letter from the given choices directly.",
    "Context: the green square is above the yellow circle.",
    "Which of these things is a person, a dog, a cat, a car, a tree or a table?",
    "How many apples are there? What colour is it? one two three four five",
    "USER: ASSISTANT: user assistant system",
    "A chat between a curious user and an artificial intelligence assistant.",
    "Yes No yes no A B C D E",
)


def tiny_llava(tmp: Path, *, blocks: int = 2, seed: int = 0, tied: bool = False, **options: Any) -> Path:
    """Builds a LLaVA-1.5-like model (CLIP tower, Llama backbone, 16 image tokens) in ``tmp``.

    Args:
        tmp: folder the checkpoint folder ``llava`` is made in.
        blocks: language blocks.
        seed: seed of the weights.
        tied: whether the head shares the embeddings' weights.
        options: ``hidden`` (32), ``neurons`` (48), ``mlp_bias`` (False), ``max_shard_size`` (one shard),
            ``chat_template`` (``None`` writes none), ``name`` (folder name), ``dtype`` (float32).
    """
    tokenizer = _llama_tokenizer(("<image>", "<pad>"))
    text = _text_config(options.pop("backbone", "llama"), tokenizer, blocks, options, num_key_value_heads=4)
    text["mlp_bias"] = options.pop("mlp_bias", False)
    config = transformers.LlavaConfig(
        vision_config=_clip_vision(),
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=16,
        tie_word_embeddings=tied,
    )
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
    )
    options.setdefault("chat_template", LLAVA_TEMPLATE)
    extra = {"patch_size": 14, "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"}
    return _save(
        tmp,
        "llava",
        transformers.LlavaForConditionalGeneration,
        config,
        tokenizer,
        processor,
        seed,
        extra,
        options,
    )


def tiny_qwen2_5_vl(tmp: Path, *, blocks: int = 2, seed: int = 0, tied: bool = True, **options: Any) -> Path:
    """Builds a Qwen2.5-VL-like model (grouped-query attention, mRoPE, 4 to 8 image tokens) in ``tmp``.

    The head is tied, as in the 3B model. ``options`` as for ``tiny_llava``, default ``neurons`` 64.
    """
    tokenizer = _qwen_tokenizer()
    options.setdefault("neurons", 64)
    text = _text_config("qwen2_5_vl_text", tokenizer, blocks, options, num_key_value_heads=2)
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}
    text["tie_word_embeddings"] = tied
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 14,
        "spatial_merge_size": 2, "window_size": 56, "fullatt_block_indexes": [1],
        "out_hidden_size": text["hidden_size"],
    }  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(
        vision_config=vision, text_config=text, tie_word_embeddings=tied, **_qwen_image_ids(tokenizer)
    )
    options.setdefault("chat_template", _CHATML.replace("IMAGE", CHATML_IMAGE))
    return _save(
        tmp, "qwen2_5_vl", transformers.Qwen2_5_VLForConditionalGeneration, config, tokenizer,
        _qwen_image_processor(), seed, {}, options,
    )  # fmt: skip


def tiny_qwen2_vl(tmp: Path, *, blocks: int = 2, seed: int = 0, tied: bool = False, **options: Any) -> Path:
    """Builds a Qwen2-VL-like model, which the Qwen2.5-VL adapter serves too."""
    tokenizer = _qwen_tokenizer()
    text = _text_config("qwen2_vl_text", tokenizer, blocks, options, num_key_value_heads=2)
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}
    text["tie_word_embeddings"] = tied
    vision = {
        "depth": 2, "embed_dim": 32, "hidden_size": text["hidden_size"], "mlp_ratio": 2, "num_heads": 2,
        "patch_size": 14, "spatial_merge_size": 2,
    }  # fmt: skip
    config = transformers.Qwen2VLConfig(
        vision_config=vision, text_config=text, tie_word_embeddings=tied, **_qwen_image_ids(tokenizer)
    )
    options.setdefault("chat_template", _CHATML.replace("IMAGE", CHATML_IMAGE))
    return _save(
        tmp, "qwen2_vl", transformers.Qwen2VLForConditionalGeneration, config, tokenizer,
        _qwen_image_processor(), seed, {}, options,
    )  # fmt: skip


def tiny_qwen3_vl(tmp: Path, *, blocks: int = 2, seed: int = 0, tied: bool = True, **options: Any) -> Path:
    """Builds a Qwen3-VL-like model, whose tower's first block gives features behind the first language block."""
    tokenizer = _qwen_tokenizer()
    text = _text_config("qwen3_vl_text", tokenizer, blocks, options, num_key_value_heads=2, head_dim=8)
    text["rope_parameters"] = {
        "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1], "mrope_interleaved": True,
    }  # fmt: skip
    text["tie_word_embeddings"] = tied
    vision = {
        "depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 14,
        "spatial_merge_size": 2, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
        "out_hidden_size": text["hidden_size"],
    }  # fmt: skip
    config = transformers.Qwen3VLConfig(
        vision_config=vision, text_config=text, tie_word_embeddings=tied, **_qwen_image_ids(tokenizer)
    )
    options.setdefault("chat_template", _CHATML.replace("IMAGE", CHATML_IMAGE))
    return _save(
        tmp, "qwen3_vl", transformers.Qwen3VLForConditionalGeneration, config, tokenizer,
        _qwen_image_processor(), seed, {}, options,
    )  # fmt: skip


def tiny_idefics3(
    tmp: Path, *, blocks: int = 2, seed: int = 0, smolvlm: bool = False, **options: Any
) -> Path:
    """Builds an Idefics3-like (or SmolVLM-like) model whose images become several tiles of 4 tokens."""
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    added = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles)
    tokenizer = _qwen_tokenizer(added)
    vision = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 56, "patch_size": 14,
    }  # fmt: skip
    name = "SmolVLM" if smolvlm else "Idefics3"
    text = _text_config("llama", tokenizer, blocks, options, num_key_value_heads=2)
    config = getattr(transformers, f"{name}Config")(
        vision_config=vision, text_config=text, scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), tie_word_embeddings=False,
    )  # fmt: skip
    processor = getattr(transformers, f"{name}ImageProcessorPil")(
        size={"longest_edge": 112}, max_image_size={"longest_edge": 56}
    )
    options.setdefault("chat_template", _CHATML.replace("IMAGE", "<image>"))
    return _save(
        tmp, name.lower(), getattr(transformers, f"{name}ForConditionalGeneration"), config, tokenizer,
        processor, seed, {"image_seq_len": 4}, options,
    )  # fmt: skip


def tiny_smolvlm(tmp: Path, *, blocks: int = 2, seed: int = 0, **options: Any) -> Path:
    """Builds a SmolVLM-like model."""
    return tiny_idefics3(tmp, blocks=blocks, seed=seed, smolvlm=True, **options)


def tiny_internvl(tmp: Path, *, blocks: int = 2, seed: int = 0, **options: Any) -> Path:
    """Builds an InternVL3-like model (Qwen2 backbone) whose images become up to three tiles of 4 tokens."""
    tokenizer = deepcopy(_qwen_tokenizer(("<img>", "</img>", "<IMG_CONTEXT>", "<video>")))
    marks = {
        "start_image": "<img>",
        "end_image": "</img>",
        "context_image": "<IMG_CONTEXT>",
        "video": "<video>",
    }
    tokenizer._set_model_specific_special_tokens({f"{name}_token": mark for name, mark in marks.items()})
    vision = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": [56, 56], "patch_size": [14, 14],
    }  # fmt: skip
    config = transformers.InternVLConfig(
        vision_config=vision,
        text_config=_text_config("qwen2", tokenizer, blocks, options, num_key_value_heads=2),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    processor = transformers.GotOcr2ImageProcessorPil(
        size={"height": 56, "width": 56}, min_patches=1, max_patches=2
    )
    options.setdefault("chat_template", _CHATML.replace("IMAGE", "<IMG_CONTEXT>\n"))
    return _save(
        tmp, "internvl", transformers.InternVLForConditionalGeneration, config, tokenizer, processor, seed,
        {"image_seq_length": 4}, options,
    )  # fmt: skip


def tiny_llava_next(tmp: Path, *, blocks: int = 2, seed: int = 0, **options: Any) -> Path:
    """Builds a LLaVA-NeXT-like model: an overview and tiles, padding cut off, a newline feature a row."""
    tokenizer = _llama_tokenizer(("<image>", "<pad>"))
    pinpoints = [[56, 112], [112, 56], [112, 112]]
    config = transformers.LlavaNextConfig(
        vision_config=_clip_vision(),
        text_config=_text_config("llama", tokenizer, blocks, options, num_key_value_heads=2),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_grid_pinpoints=pinpoints,
        tie_word_embeddings=False,
    )
    processor = transformers.LlavaNextImageProcessorPil(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, image_grid_pinpoints=pinpoints
    )
    options.setdefault("chat_template", LLAVA_TEMPLATE)
    extra = {"patch_size": 14, "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"}
    return _save(
        tmp, "llava_next", transformers.LlavaNextForConditionalGeneration, config, tokenizer, processor, seed, extra,
        options,
    )  # fmt: skip


def tiny_mistral3(tmp: Path, *, blocks: int = 2, seed: int = 0, **options: Any) -> Path:
    """Builds a Mistral-Small-3.1-like model: a Pixtral tower, 2 × 2 patches a token, a mark behind each row."""
    tokenizer = _qwen_tokenizer(("[IMG]", "[IMG_BREAK]", "[IMG_END]"))
    vision = {
        "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "head_dim": 16, "image_size": 112, "patch_size": 14,
    }  # fmt: skip
    config = transformers.Mistral3Config(
        vision_config=vision,
        text_config=_text_config(
            "mistral", tokenizer, blocks, options, num_key_value_heads=2, sliding_window=None
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
    processor = transformers.PixtralImageProcessorPil(
        size={"longest_edge": 112}, patch_size={"height": 14, "width": 14}
    )
    options.setdefault("chat_template", _CHATML.replace("IMAGE", "[IMG]"))
    return _save(
        tmp, "mistral3", transformers.Mistral3ForConditionalGeneration, config, tokenizer, processor, seed,
        {"patch_size": 14, "spatial_merge_size": 2}, options,
    )  # fmt: skip


def _from_defaults(model_type: str, tmp: Path, **options: Any) -> Path:
    """Builds a model from its family's own configuration made small."""
    from tests.strangers import tiny_stranger

    return tiny_stranger(tmp, model_type, **options)


def tiny_pixtral(tmp: Path, *, blocks: int = 2, seed: int = 0, **options: Any) -> Path:
    """Builds a Pixtral-like model under LLaVA's name: a token a patch, a mark behind each row."""
    tokenizer = _qwen_tokenizer(("[IMG]", "[IMG_BREAK]", "[IMG_END]"))
    vision = {
        "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "head_dim": 16, "image_size": 112, "patch_size": 14,
    }  # fmt: skip
    config = transformers.LlavaConfig(
        vision_config=vision,
        text_config=_text_config(
            "mistral", tokenizer, blocks, options, num_key_value_heads=2, sliding_window=None
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    processor = transformers.PixtralImageProcessorPil(
        size={"longest_edge": 56}, patch_size={"height": 14, "width": 14}
    )
    options.setdefault("chat_template", _CHATML.replace("IMAGE", "[IMG]"))
    return _save(
        tmp, "pixtral", transformers.LlavaForConditionalGeneration, config, tokenizer, processor, seed,
        {"patch_size": 14, "spatial_merge_size": 1, "processor_class": "PixtralProcessor"}, options,
    )  # fmt: skip


def tiny_fast_vlm(tmp: Path, *, blocks: int = 2, seed: int = 0, **options: Any) -> Path:
    """Builds a FastVLM-like model: a convolutional tower, of transformers' own, whose 4 × 4 map becomes 16 tokens."""
    tokenizer = _llama_tokenizer(("<image>", "<pad>"))
    vision = {
        "model_type": "efficientnet", "image_size": 16, "width_coefficient": 0.25, "depth_coefficient": 1.0,
        "kernel_sizes": [3], "in_channels": [32], "out_channels": [32], "strides": [2], "num_block_repeats": [1],
        "expand_ratios": [1], "hidden_act": "relu6", "hidden_dim": 320, "hidden_size": 320, "initializer_range": 0.5,
    }  # fmt: skip
    config = transformers.FastVlmConfig(
        vision_config=vision,
        text_config=_text_config("llama", tokenizer, blocks, options, num_key_value_heads=2),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        tie_word_embeddings=False,
    )
    square = {"height": 16, "width": 16}
    processor = transformers.CLIPImageProcessorPil(size=square, crop_size=square, do_center_crop=False)
    options.setdefault("chat_template", LLAVA_TEMPLATE)
    extra = {
        "patch_size": 4, "num_additional_image_tokens": 0, "vision_feature_select_strategy": "full",
        "processor_class": "LlavaProcessor",
    }  # fmt: skip
    return _save(
        tmp, "fast_vlm", transformers.FastVlmForConditionalGeneration, config, tokenizer, processor, seed, extra,
        options,
    )  # fmt: skip


GEMMA2 = {
    "text_config": {
        "model_type": "gemma2",
        "layer_types": ["sliding_attention", "full_attention"],
        "query_pre_attn_scalar": 8,
        "sliding_window": 8,
        "attn_logit_softcapping": 1.0,
        "final_logit_softcapping": 3.0,
    }
}
"""A small Gemma 2 whose window and caps are narrow enough to be seen."""

FAMILIES: dict[str, Callable[..., Path]] = {
    "llava": tiny_llava,
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen2_vl": tiny_qwen2_vl,
    "qwen3_vl": tiny_qwen3_vl,
    "idefics3": tiny_idefics3,
    "smolvlm": tiny_smolvlm,
    "internvl": tiny_internvl,
    "llava_next": tiny_llava_next,
    "mistral3": tiny_mistral3,
    "pixtral": tiny_pixtral,
    "fast_vlm": tiny_fast_vlm,
    "gemma3": partial(_from_defaults, "gemma3"),
    "gemma4": partial(_from_defaults, "gemma4"),
    "paligemma": partial(_from_defaults, "paligemma"),
    "paligemma-gemma2": partial(_from_defaults, "paligemma", changes=GEMMA2),
    "llava_onevision": partial(_from_defaults, "llava_onevision"),
    "glm4v": partial(_from_defaults, "glm4v"),
    "qwen3_5": partial(_from_defaults, "qwen3_5"),
    "aya_vision": partial(_from_defaults, "aya_vision"),
    "llava-phi3": partial(tiny_llava, backbone="phi3"),
    "vipllava": partial(_from_defaults, "vipllava"),
    "minicpmv4_6": partial(_from_defaults, "minicpmv4_6"),
}
"""A builder for every family in the table of supported models, where what it needs is installed."""

NEED_TIMM = ("gemma3n",)
"""Families whose tower is one of timm's: ``make test-timm`` has it."""
if find_spec("timm"):
    FAMILIES |= {family: partial(_from_defaults, family) for family in NEED_TIMM}


def tiny_image(seed: int = 0, size: tuple[int, int] = (80, 64)) -> Image.Image:
    """A random RGB picture of ``size`` (width, height)."""
    pixels = torch.randint(0, 256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(pixels.to(torch.uint8).numpy())


def _text_config(
    model_type: str, tokenizer: PreTrainedTokenizerFast, blocks: int, options: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "vocab_size": len(tokenizer),
        "hidden_size": options.pop("hidden", 32),
        "intermediate_size": options.pop("neurons", 48),
        "num_hidden_layers": blocks,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **more,
    }


def _clip_vision() -> dict[str, Any]:
    return {
        "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 56, "patch_size": 14, "projection_dim": 32,
    }  # fmt: skip


def _qwen_image_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    names = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
    }  # fmt: skip
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def _qwen_image_processor() -> Any:
    return transformers.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 56 * 56, "longest_edge": 2 * 56 * 56}, patch_size=14, merge_size=2
    )


def _save(
    tmp: Path,
    name: str,
    model_class: Callable[[Any], PreTrainedModel],
    config: Any,
    tokenizer: PreTrainedTokenizerFast,
    image_processor: Any,
    seed: int,
    processor_extra: dict[str, Any],
    options: dict[str, Any],
) -> Path:
    """Makes the random model and writes the folder as ``save_pretrained`` of model and processor would."""
    folder = tmp / options.pop("name", name)
    template = options.pop("chat_template")
    max_shard_size = options.pop("max_shard_size", "5GB")
    dtype = options.pop("dtype", torch.float32)
    assert not options, f"unknown options {sorted(options)}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
            else:
                parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
    model.tie_weights()
    transformers.utils.logging.disable_progress_bar()
    model.to(dtype).save_pretrained(folder, max_shard_size=max_shard_size)
    tokenizer.save_pretrained(folder)
    image_processor.save_pretrained(folder)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    if processor_extra:
        (folder / "processor_config.json").write_text(json.dumps(processor_extra), encoding="utf-8")
    return folder


@cache
def _llama_tokenizer(added: Sequence[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Metaspace("▁", prepend_scheme="first"),
            pre_tokenizers.Punctuation("isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        additional_special_tokens=[token for token in added if token != "<pad>"],
    )  # fmt: skip


@cache
def _qwen_tokenizer(added: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    special = [
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        additional_special_tokens=[*special, *added],
    )  # fmt: skip


def _corpus() -> list[str]:
    """Each sentence twice, and its words with and without a leading space, so that both become one token."""
    words = sorted({word.strip("?.,:'") for sentence in _SENTENCES for word in sentence.split()})
    return [
        *_SENTENCES,
        *_SENTENCES,
        *(f"({word})" for word in words for _ in range(3)),
        *(f"x {w}" for w in words),
    ]
