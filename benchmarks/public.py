"""Public models' configurations as their authors published them: all that an outlook needs, no download."""

from collections.abc import Callable
from pathlib import Path

from transformers import LlavaConfig, Qwen2_5_VLConfig


def llava_7b(folder: Path) -> Path:
    """LLaVA-1.5-7B: CLIP ViT-L/14 of 336 pixels a side before Vicuna 7B, stored in float16."""
    text = {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "vocab_size": 32064,
    }  # fmt: skip
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "image_size": 336,
        "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
    }  # fmt: skip
    LlavaConfig(text_config=text, vision_config=vision, dtype="float16").save_pretrained(folder)
    return folder


def qwen_7b(folder: Path) -> Path:
    """Qwen2.5-VL-7B, stored in bfloat16."""
    text = {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }  # fmt: skip
    vision = {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, dtype="bfloat16")
    config.save_pretrained(folder)
    return folder


PUBLIC: dict[str, Callable[[Path], Path]] = {"llava-1.5-7b": llava_7b, "qwen2.5-vl-7b": qwen_7b}
"""What writes the configuration of each into a folder, which it returns."""
