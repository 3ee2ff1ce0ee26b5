"""A language model gets eyes: the vision tower of an embedded model, and a projector fitted by ridge regression.

The tower says what each patch shows; the projector is fitted so that it says so in the language model's own words: each
patch becomes the embedding of the thing, or of the place, that it shows. No step of gradient descent is taken.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hipp_prune.experiments.toy.families import LLAVA
from hipp_prune.experiments.toy.pictures import image_processor
from hipp_prune.models.loading import local_folder
from hipp_prune.questions.toyworld.drawing import CELL, draw
from hipp_prune.questions.toyworld.scenes import GRID, Scene

IMAGE = "<image>"
_RIDGE = 1e-3
"""Penalty of the projector, relative to the mean square of its hidden features."""
_AT_ONCE = 64
"""Pictures the tower sees at a time."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2's own turns, without its system's, and a picture's place in them."""


def assemble(
    language: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, seed: int
) -> LlavaForConditionalGeneration:
    """A stock LLaVA of the embedded tower, a fresh projector and ``language``; the tokenizer learns ``<image>``.

    Args:
        language: a causal language model, whose embeddings grow by the new token.
        tokenizer: its own.
        seed: of the projector.
    """
    torch.manual_seed(seed)
    eyes = LlavaForConditionalGeneration.from_pretrained(local_folder("toy-llava"), local_files_only=True)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    language.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    config = LlavaConfig(
        vision_config=eyes.config.vision_config,
        text_config=language.config,
        image_token_index=tokenizer.get_vocab()[IMAGE],
        image_seq_length=GRID**2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=language.config.tie_word_embeddings,
    )
    made = LlavaForConditionalGeneration(config)
    made.model.vision_tower.load_state_dict(eyes.model.vision_tower.state_dict())
    made.model.language_model.load_state_dict(language.base_model.state_dict())
    made.lm_head.load_state_dict(language.get_output_embeddings().state_dict())
    made.tie_weights()
    return made.eval()


@torch.no_grad()
def fit_projector(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, shown: Sequence[Scene]
) -> float:
    """Fits the projector's second layer by ridge regression on random features, its first layer as it was drawn.

    Args:
        model: whose projector is fitted in place.
        tokenizer: its own.
        shown: scenes that are drawn; a few hundred.

    Returns:
        Share of the words' variance that the patches explain, in [0, 1]; on these scenes.
    """
    projector: Any = model.model.multi_modal_projector
    seen = see(model, shown)
    first = projector.linear_1
    nn.init.normal_(first.weight, std=first.in_features**-0.5 / float(seen.std()))
    hidden = projector.act(first(seen))
    words = _words(model, tokenizer, shown)
    weight, bias = ridge(hidden, words, penalty=_RIDGE)
    projector.linear_2.weight.copy_(weight)
    projector.linear_2.bias.copy_(bias)
    left = (projector(seen) - words).square().sum()
    return float(1 - left / (words - words.mean(0)).square().sum())


def ridge(inputs: Tensor, targets: Tensor, *, penalty: float) -> tuple[Tensor, Tensor]:
    """Weight [targets, inputs] and bias [targets] of the linear map nearest to ``targets`` in squares.

    Computed in float64.

    Args:
        inputs: [samples, …].
        targets: [samples, …].
        penalty: of the weight's squares, relative to the mean square of an input.
    """
    x, y = inputs.double(), targets.double()
    centre, mean = x.mean(0), y.mean(0)
    x, y = x - centre, y - mean
    gram = x.T @ x
    gram.diagonal().add_(penalty * gram.diagonal().mean())
    weight = torch.linalg.solve(gram, x.T @ y).T
    return weight.to(inputs.dtype), (mean - weight @ centre).to(inputs.dtype)


def see(model: LlavaForConditionalGeneration, shown: Sequence[Scene]) -> Tensor:
    """What the tower says of every patch, [scenes · patches, vision hidden]."""
    processor = image_processor(LLAVA)
    parts = []
    for start in range(0, len(shown), _AT_ONCE):
        pictures = [draw(scene) for scene in shown[start : start + _AT_ONCE]]
        pixels = torch.as_tensor(
            processor(pictures, return_tensors="pt")["pixel_values"], dtype=torch.float32
        )
        states = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
        parts.append(states[:, 1:].flatten(0, 1))
    return torch.cat(parts)


def _words(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, shown: Sequence[Scene]
) -> Tensor:
    """The embedding of the word each patch stands for, [scenes · patches, hidden]."""
    words = [word for scene in shown for word in scene.words]
    known = sorted(set(words))
    return word_embeddings(model, tokenizer, known)[[known.index(word) for word in words]]


@torch.no_grad()
def word_embeddings(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, words: Sequence[str]
) -> Tensor:
    """What the language model is given for each of some words, the mean of its tokens' embeddings, [words, hidden]."""
    embeddings: Any = model.get_input_embeddings().weight
    ids = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in words]
    return torch.stack([embeddings[each].mean(0) for each in ids])


def save_assembled(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Writes what stock ``from_pretrained`` reads, the processor beside the weights."""
    tokenizer.padding_side = "left"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    image_processor(LLAVA).save_pretrained(folder)
    LlavaProcessor(
        image_processor=image_processor(LLAVA),
        tokenizer=tokenizer,
        patch_size=CELL,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
