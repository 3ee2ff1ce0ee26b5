"""Two-block random models of families outside the table, from transformers' own defaults made small.

``tiny_stranger(tmp, "idefics2")`` takes the family's default configuration, shrinks every size in it that a table below
knows, and writes a checkpoint folder as ``tests.tiny`` does.
"""

import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from tests.tiny import _CHATML, _qwen_tokenizer, _save

_SMALL: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "global_head_dim": 16, "depth": 2, "embed_dim": 32, "num_heads": 2,
    "out_hidden_size": 32, "image_size": 56, "patch_size": 14, "projection_dim": 32, "mlp_dim": 48,
    "max_position_embeddings": 512, "output_channels": 32, "resampler_depth": 2, "resampler_n_latents": 4,
    "resampler_n_heads": 4, "resampler_head_dim": 8, "image_seq_length": 16,
    "insert_layer_id": 0, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0, "window_size": 2,
    "global_attn_indexes": [1], "fullatt_block_indexes": [1], "position_embedding_size": 64, "pooling_kernel_size": 1,
    "vision_feature_layer": -1, "deepstack_visual_indexes": [0], "num_image_tokens": 16, "embed_dim_per_head": 16,
    "pad_token_id": None, "bos_token_id": None, "eos_token_id": None, "head_size": 8,
    "mrope_section": [2, 1, 1],
}  # fmt: skip
_SECTIONS = {
    "rope_parameters": {
        "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1], "partial_rotary_factor": 1.0,
    }
}  # fmt: skip
_OWN: dict[str, dict[str, Any]] = {
    "llava_onevision": {"image_grid_pinpoints": [[56, 112], [112, 56], [112, 112]]},
    "gemma3": {"mm_tokens_per_image": 4},
    "gemma4": {
        "audio_config": None,
        "text_config": {
            "layer_types": ["sliding_attention", "full_attention"],
            "use_bidirectional_attention": "vision",
            "per_layer_config": {1: {"head_dim": 16}},
            "pad_token_id": 0,
        },
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 8,
            "patch_size": 14,
            "pooling_kernel_size": 2,
            "position_embedding_size": 128,
        },
    },
    "gemma3n": {
        "vision_soft_tokens_per_image": 4,
        "text_config": {
            "layer_types": ["sliding_attention", "full_attention"],
            "intermediate_size": [48, 48],
            "activation_sparsity_pattern": [0.5, 0.0],
            "laurel_rank": 8,
            "pad_token_id": 0,
        },
        "vision_config": {"architecture": "test_convnext", "hidden_size": 64, "label_names": []},
        "audio_config": {
            "conf_num_attention_heads": 4,
            "conf_num_hidden_layers": 1,
            "sscp_conv_channel_size": [8, 4],
        },
    },
    "perception_lm": {
        "projector_pooling_ratio": 2,
        "vision_config": {
            "architecture": "test_vit",
            "hidden_size": 64,
            "label_names": [],
            "model_args": {"embed_dim": 64, "img_size": [64, 64], "depth": 2, "global_pool": ""},
        },
    },
    "glm4v": {"text_config": _SECTIONS, "vision_config": {"out_hidden_size": 32}},
    "glm46v": {"text_config": _SECTIONS, "vision_config": {"out_hidden_size": 32}},
    "glmga": {"text_config": _SECTIONS, "vision_config": {"out_hidden_size": 32}},
    "glm_ocr": {"text_config": _SECTIONS, "vision_config": {"out_hidden_size": 32}},
    "glm5_next": {"text_config": {"num_key_value_heads": 4, "mlp_layer_types": ["dense", "sparse"]}},
    "diffusion_gemma": {
        "text_config": {"num_experts": 2, "top_k_experts": 1, "moe_intermediate_size": 8, "pad_token_id": 0},
    },
    "chameleon": {
        "vq_config": {"base_channels": 32, "num_embeddings": 8, "embed_dim": 8, "latent_channels": 8},
        "vocabulary_map": {f"IMGIMG{letter}Z": code for code, letter in enumerate("ABCDEFGH")}
        | {"<image>": 9},
    },
    "exaone4_5": {"vision_config": {"out_hidden_size": 32, "window_size": 56}},
    "hyperclovax_vision_v2": {"vision_config": {"out_hidden_size": 32, "window_size": 56}},
    "hunyuan_vl": {"text_config": _SECTIONS},
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense", "sparse"]}},
    "cohere_compass": {
        "text_config": {
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                kind: {"rope_type": "default", "rope_theta": 10_000.0}
                for kind in ("sliding_attention", "full_attention")
            },
        }
    },
    "granite4_vision": {
        "deepstack_layer_map": [[0, 0]],
        "spatial_target_layers": [0, 1],
        "downsample_rate": "1/2",
        "vision_config": {"hidden_size": 64},
    },
    "paligemma": {"hidden_size": 32, "projection_dim": 32},
    "qwen3_5": {
        "text_config": {
            **_SECTIONS,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
        },
        "vision_config": {"num_position_embeddings": 64},
    },
    "paddleocr_vl": {
        "text_config": {
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}
        }
    },
    "minicpmv4_6": {"text_config": {"layer_types": ["full_attention", "full_attention"]}},
    "minicpmv4_7": {"text_config": {"layer_types": ["linear_attention", "full_attention"]}},
}
"""What a family needs beyond smaller sizes."""
_PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "llava_onevision": (
        "LlavaOnevisionImageProcessorPil",
        {
            "size": {"height": 56, "width": 56},
            "image_grid_pinpoints": [[56, 112], [112, 56], [112, 112]],
        },
    ),
    "deepseek_vl_hybrid": (
        "DeepseekVLHybridImageProcessorPil",
        {"size": {"height": 56, "width": 56}, "high_res_size": {"height": 56, "width": 56}},
    ),
    **dict.fromkeys(
        ("gemma4", "diffusion_gemma"),
        ("Gemma4ImageProcessorPil", {"patch_size": 14, "max_soft_tokens": 70, "pooling_kernel_size": 2}),
    ),
    "perception_lm": (
        "PerceptionLMImageProcessor",
        {
            "tile_size": 64,
            "size": {"height": 64, "width": 64},
            "max_num_tiles": 4,
            "vision_input_type": "thumb+tile",
        },
    ),
    "gemma3n": ("SiglipImageProcessorPil", {"size": {"height": 64, "width": 64}}),
    "aya_vision": ("GotOcr2ImageProcessorPil", {"size": {"height": 56, "width": 56}}),
    "glm_ocr": (
        "Glm46VImageProcessorPil",
        {"patch_size": 14, "size": {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}},
    ),
    "video_llama_3": ("VideoLlama3ImageProcessorPil", {"min_pixels": 28 * 28, "max_pixels": 112 * 112}),
    "idefics2": (
        "Idefics2ImageProcessorPil",
        {"do_image_splitting": False, "size": {"shortest_edge": 28, "longest_edge": 56}},
    ),
    "mistral3": (
        "PixtralImageProcessorPil",
        {"size": {"longest_edge": 84}, "patch_size": {"height": 14, "width": 14}},
    ),
    "paligemma": ("SiglipImageProcessorPil", {"size": {"height": 56, "width": 56}, "image_seq_length": 16}),
    "vipllava": (
        "CLIPImageProcessorPil",
        {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}},
    ),
}
"""Image processors, where the family's own with 56 pixels a side is not it."""
_SETTINGS: dict[str, dict[str, Any]] = {
    "aya_vision": {"img_size": 56, "patch_size": 28},
    "deepseek_vl": {"num_image_tokens": 16},
    "deepseek_vl_hybrid": {"num_image_tokens": 16},
    "granite4_vision": {
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
        "downsample_rate": "1/2",
    },
    "perception_lm": {"patch_size": 16, "pooling_ratio": 2, "processor_class": "PerceptionLMProcessor"},
    "gemma3": {"image_seq_length": 4},
    "gemma3n": {"image_seq_length": 4},
    "gemma4": {"image_seq_length": 16},
    "idefics2": {"image_seq_len": 4},
    "janus": {"num_image_tokens": 16},
    "lighton_ocr": {"patch_size": 14, "spatial_merge_size": 2},
    "llava_next_video": {
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    },
    "llava_onevision": {"num_image_tokens": 16, "vision_feature_select_strategy": "full"},
    "mistral3": {"patch_size": 14, "spatial_merge_size": 2},
    "paligemma": {"image_seq_length": 16},
    "qianfan_ocr": {"image_seq_length": 4},
    "vipllava": {
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    },
}
"""What stands in ``processor_config.json``."""
_TOKENS: dict[str, dict[str, str]] = {
    "aya_vision": {"image_token": "<|IMG_PATCH|>"},
    "cohere2_vision": {
        "image_token": "<|IMG_PATCH|>", "boi_token": "<|START_OF_IMG|>", "eoi_token": "<|END_OF_IMG|>",
        "img_line_break_token": "<|IMG_LINE_BREAK|>",
    },
    "deepseek_vl": {"image_token": "<image_placeholder>"},
    "gemma3": {
        "image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
    },
    "gemma3n": {
        "image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
        "audio_token": "<audio_soft_token>", "boa_token": "<start_of_audio>", "eoa_token": "<end_of_audio>",
    },
    "gemma4": {
        "image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>", "audio_token": "<|audio|>",
        "boa_token": "<|audio>", "eoa_token": "<audio|>",
    },
    "glm4v": {"image_token": "<|image|>"},
    "glm46v": {"image_token": "<|image|>"},
    "glm5_next": {"image_token": "<|image|>"},
    "glmga": {"image_token": "<|image|>"},
    "glm_ocr": {"image_token": "<|image|>"},
    "exaone4_5": {"image_token": "<|image_pad|>"},
    "hyperclovax_vision_v2": {"image_token": "<|image_pad|>"},
    "cohere_compass": {"image_token": "<|IMAGE_PAD|>"},
    "deepseek_vl_hybrid": {"image_token": "<image_placeholder>"},
    "hunyuan_vl": {
        "image_token": "<img_pad>", "image_start_token": "<img_start>", "image_end_token": "<img_end>",
    },
    "janus": {
        "image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>",
    },
    "lighton_ocr": {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"},
    "minicpmv4_6": {
        "image_token": "<unk>", "video_token": "<video>", "image_start_token": "<image>",
        "image_end_token": "</image>", "slice_start_token": "<slice>", "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
    },
    "minicpmv4_7": {
        "image_token": "<unk>", "video_token": "<video>", "image_start_token": "<image>",
        "image_end_token": "</image>", "slice_start_token": "<slice>", "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
    },
    "mistral3": {"image_token": "[IMG]"},
    "perception_lm": {"image_token": "<|image|>", "video_token": "<|video|>"},
    "paddleocr_vl": {"image_token": "<|IMAGE_PLACEHOLDER|>"},
    "qianfan_ocr": {
        "context_image_token": "<IMG_CONTEXT>", "start_image_token": "<img>", "end_image_token": "</img>",
    },
    "qwen3_5": {"image_token": "<|image_pad|>"},
    "video_llama_3": {"image_token": "<|image_pad|>"},
}  # fmt: skip
"""Names under which a family's tokenizer has its marks, as its checkpoints on the hub say."""
_PLACEHOLDERS = {
    "aya_vision": "<image>", "qianfan_ocr": "<image>", "gemma3": "<start_of_image>",
    "qwen3_5": "<|vision_start|><|image_pad|><|vision_end|>",
    **dict.fromkeys(
        ("glm4v", "glm46v", "glmga", "glm_ocr", "glm5_next"), "<|begin_of_image|><|image|><|end_of_image|>"
    ),
    "hunyuan_vl": "<img_start><img_pad><img_end>",
}  # fmt: skip
"""What the template writes for a picture, where it is not the image token."""
_WITHOUT_TEMPLATE = {"paligemma"}
"""Families whose processor writes the prompt itself, and their own ``<bos>`` into it."""
_ADDED = (
    "<image>", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "<fake_token_around_image>", "<end_of_utterance>",
    "<|START_OF_IMG|>", "<|END_OF_IMG|>", "TILE_GLOBAL", "TILE", "<|begin_of_image|>", "<|end_of_image|>",
)  # fmt: skip


def tiny_stranger(tmp: Path, model_type: str, **options: Any) -> Path:
    """Builds a model of a family outside the table in ``tmp / model_type``.

    Args:
        tmp: where the folder is made.
        model_type: transformers' name of the family.
        options: ``changes`` of the configuration, nested as it is; ``processor``, name and settings; ``seed``.
    """
    tokens = _TOKENS.get(model_type, {})
    tokenizer = deepcopy(_qwen_tokenizer(_ADDED))
    tokenizer.add_tokens(list(tokens.values()), special_tokens=True)
    tokenizer._set_model_specific_special_tokens(tokens)
    if model_type in _WITHOUT_TEMPLATE:
        tokenizer.add_special_tokens({"bos_token": "<bos>"})
    image = tokens.get("image_token") or tokens.get("context_image_token", "<image>")
    config_class: type[PreTrainedConfig] = CONFIG_MAPPING[model_type]
    settings = _merged(_shrunk(config_class().to_dict(), len(tokenizer)), _OWN.get(model_type, {}))
    settings = _merged(settings, options.pop("changes", {}))
    for name in ("image_token_id", "image_token_index"):
        if name in settings or hasattr(config_class, name):
            settings[name] = tokenizer.convert_tokens_to_ids(image)
    settings["tie_word_embeddings"] = False
    own: dict[str, Any] = settings.get("text_config", settings)
    own["eos_token_id"] = tokenizer.eos_token_id
    name, arguments = options.pop("processor", None) or _processor(model_type)
    template: str | None = _CHATML.replace("IMAGE", _PLACEHOLDERS.get(model_type, image))
    template = None if model_type in _WITHOUT_TEMPLATE else template
    seed = options.pop("seed", 0)
    model_class = getattr(transformers, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[model_type])
    pil = name.endswith("Pil")
    image_processor = getattr(transformers, name)(**arguments) if pil else _TorchvisionOnly(name, arguments)
    return _save(
        tmp, options.pop("name", model_type), model_class, config_class(**settings), tokenizer, image_processor, seed,
        _SETTINGS.get(model_type, {}), {"chat_template": template, **options},
    )  # fmt: skip


@dataclass(frozen=True)
class _TorchvisionOnly:
    """Stands for an image processor that transformers has for torchvision alone."""

    name: str
    arguments: dict[str, Any]

    def save_pretrained(self, folder: Path) -> None:
        settings = {"image_processor_type": self.name, **self.arguments}
        (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _processor(model_type: str) -> tuple[str, dict[str, Any]]:
    """The family's own image processor without torchvision, with settings for pictures of 56 to 112 pixels a side."""
    if model_type in _PROCESSORS:
        return _PROCESSORS[model_type]
    names: Any = IMAGE_PROCESSOR_MAPPING_NAMES[model_type]
    if "pil" not in names:
        return str(names["torchvision"]), {}
    processor = getattr(transformers, names["pil"])
    keys = set(dict(getattr(processor, "size", None) or {}))
    patches = {"patch_size": 14} if isinstance(getattr(processor, "patch_size", None), int) else {}
    if keys == {"shortest_edge", "longest_edge"}:
        return names["pil"], {**patches, "size": {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}}
    if keys == {"shortest_edge"}:
        return names["pil"], {
            **patches,
            "size": {"shortest_edge": 56},
            "crop_size": {"height": 56, "width": 56},
        }
    return names["pil"], {**patches, "size": {"height": 56, "width": 56}}


def _shrunk(settings: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """Smaller values where the table has them; lists with one entry a block are cut."""
    blocks = settings.get("num_hidden_layers")
    small = _SMALL | {"vocab_size": vocabulary, "vocab_size_per_layer_input": vocabulary}
    result = {}
    for name, value in settings.items():
        if isinstance(value, dict) and name != "per_layer_config":
            result[name] = _shrunk(value, vocabulary)
        elif isinstance(value, list) and len(value) == blocks:
            result[name] = value[:2]
        elif name == "per_layer_config":
            result[name] = {1: next(iter(value.values()))} if value else value
        elif name == "sliding_window":
            result[name] = value and 64
        else:
            result[name] = small.get(name, value)
    return result


def _merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    nested = {
        name: _merged(settings[name], value)
        for name, value in changes.items()
        if isinstance(value, dict) and isinstance(settings.get(name), dict)
    }
    return {**settings, **changes, **nested}
