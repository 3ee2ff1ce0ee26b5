"""The two embedded families: how each wraps a prompt, and its stock transformers configuration."""

from dataclasses import dataclass
from typing import Literal

from transformers import LlavaConfig, Qwen2_5_VLConfig

from hipp_prune.questions.toyworld.drawing import CELL, SIDE
from hipp_prune.questions.toyworld.scenes import GRID

FamilyName = Literal["toy-llava", "toy-qwen2.5-vl"]

HIDDEN = 64
"""Width of the language model."""
HEADS = 4
BLOCKS = 12
"""Language blocks of the finished model."""
INITIAL_STD = 0.1
"""Standard deviation of fresh weights; with transformers' 0.02 three blocks left chance on polls 200 steps later."""
VISION_HIDDEN = 64
VISION_BLOCKS = 2
CONTEXT = 512
"""Longest sequence, in tokens, the models accept."""


@dataclass(frozen=True, kw_only=True)
class ToyFamily:
    """What differs between the embedded models outside the weights."""

    name: FamilyName
    start: str
    """Text before the user's, the picture's placeholder aside."""
    picture: str
    """Placeholder of a picture as the conversation template writes it, markers included."""
    picture_token: str
    """The token that stands for one patch of the picture."""
    end: str
    """Text between the user's and the answer."""
    special_tokens: tuple[str, ...]
    bos: str | None
    eos: str
    pad: str
    neurons: int
    """MLP neurons of a language block, few enough that pruning cannot go unnoticed.

    With 64 and more, uniform magnitude pruning of half of them cost next to no accuracy (``docs/log.md``).
    """
    position_axes: int
    """1 for rotary positions, 3 for multimodal ones (time, row, column)."""

    @property
    def chat_template(self) -> str:
        """Jinja template over messages whose content is text, or a list of image and text parts."""
        return (
            "{% for message in messages %}{% if message['role'] == 'user' %}"
            + _literal(self.start)
            + "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
            "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
            + _literal(self.picture)
            + "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
            "{% else %}"
            + _literal(self.end)
            + "{{ message['content'] }}"
            + _literal(self.eos + "\n")
            + "{% endif %}{% endfor %}{% if add_generation_prompt %}"
            + _literal(self.end)
            + "{% endif %}"
        )

    def wrap(self, text: str, *, with_picture: bool) -> str:
        """``text`` as one user turn, with the placeholder of every patch, ready for the answer."""
        picture = (
            self.picture.replace(self.picture_token, self.picture_token * GRID**2) if with_picture else ""
        )
        return f"{self.start}{picture}{text}{self.end}"


def _literal(text: str) -> str:
    return "{{ " + repr(text) + " }}"


LLAVA = ToyFamily(
    name="toy-llava",
    start="USER: ",
    picture="<image>\n",
    picture_token="<image>",
    end=" ASSISTANT:",
    special_tokens=("<unk>", "<s>", "</s>", "<pad>", "<image>"),
    bos="<s>",
    eos="</s>",
    pad="<pad>",
    neurons=16,
    position_axes=1,
)
QWEN = ToyFamily(
    name="toy-qwen2.5-vl",
    start="<|im_start|>user\n",
    picture="<|vision_start|><|image_pad|><|vision_end|>",
    picture_token="<|image_pad|>",
    end="<|im_end|>\n<|im_start|>assistant\n",
    special_tokens=(
        "<unk>",
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ),
    bos=None,
    eos="<|im_end|>",
    pad="<|endoftext|>",
    neurons=16,
    position_axes=3,
)
TOY_FAMILIES: dict[FamilyName, ToyFamily] = {family.name: family for family in (LLAVA, QWEN)}
"""Every embedded family by name."""


def config(
    family: ToyFamily, ids: dict[str, int], blocks: int, neurons: int
) -> LlavaConfig | Qwen2_5_VLConfig:
    """The stock configuration of ``family`` with ``blocks`` language blocks of ``neurons`` neurons.

    Args:
        family: whose architecture it is.
        ids: the vocabulary, ids by token.
        blocks: language blocks, ≥ 1.
        neurons: of each block's MLP, ≥ 1.
    """
    text: dict[str, object] = {
        "vocab_size": len(ids),
        "hidden_size": HIDDEN,
        "intermediate_size": neurons,
        "num_hidden_layers": blocks,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "initializer_range": INITIAL_STD,
        "bos_token_id": ids[family.bos] if family.bos else None,
        "eos_token_id": ids[family.eos],
        "pad_token_id": ids[family.pad],
        "tie_word_embeddings": False,
    }
    return _llava_config(ids, text) if family is LLAVA else _qwen_config(ids, text)


def _llava_config(ids: dict[str, int], text: dict[str, object]) -> LlavaConfig:
    rope = {"rope_type": "default", "rope_theta": 10_000.0}
    return LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": VISION_HIDDEN,
            "intermediate_size": 2 * VISION_HIDDEN,
            "num_hidden_layers": VISION_BLOCKS,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": CELL,
            "projection_dim": VISION_HIDDEN,
        },
        text_config=text | {"model_type": "llama", "num_key_value_heads": HEADS, "rope_parameters": rope},
        image_token_index=ids["<image>"],
        image_seq_length=GRID**2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )


def _qwen_config(ids: dict[str, int], text: dict[str, object]) -> Qwen2_5_VLConfig:
    half = HIDDEN // HEADS // 2
    rope = {
        "rope_type": "default",
        "rope_theta": 10_000.0,
        "mrope_section": [half - 2 * (half // 3), half // 3, half // 3],
    }
    return Qwen2_5_VLConfig(
        vision_config={
            "depth": VISION_BLOCKS,
            "hidden_size": VISION_HIDDEN,
            "intermediate_size": 2 * VISION_HIDDEN,
            "num_heads": 2,
            "patch_size": CELL // 2,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": SIDE,
            "fullatt_block_indexes": [VISION_BLOCKS - 1],
            "out_hidden_size": HIDDEN,
        },
        text_config=text | {"num_key_value_heads": HEADS // 2, "rope_parameters": rope},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
