"""A language model gets a convolutional tower: a stock FastVLM, which is LLaVA for towers whose output is a map."""

from pathlib import Path
from typing import Any

from transformers import (
    EfficientNetModel,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hipp_prune.experiments.photo.assembly import CHAT_TEMPLATE, IMAGE
from hipp_prune.experiments.photo.tower import lite2_processor


def give_eyes(
    language: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tower: EfficientNetModel, *, places: int
) -> FastVlmForConditionalGeneration:
    """A stock FastVLM of ``tower``, a fresh projector and ``language``; the tokenizer learns ``<image>``.

    Args:
        language: a causal language model, whose embeddings grow by the new token.
        tokenizer: its own.
        tower: makes maps of pictures.
        places: of a map, which become a token each.
    """
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    language.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    config = FastVlmConfig(
        vision_config=tower.config,
        text_config=language.config,
        image_token_index=tokenizer.get_vocab()[IMAGE],
        image_seq_length=places,
        projector_hidden_act="relu",
        tie_word_embeddings=language.config.tie_word_embeddings,
    )
    made = FastVlmForConditionalGeneration(config)
    made.model.vision_tower.load_state_dict(tower.state_dict())
    made.model.language_model.load_state_dict(language.base_model.state_dict())
    made.lm_head.load_state_dict(language.get_output_embeddings().state_dict())
    made.tie_weights()
    return made.eval()


def save_eyes(
    model: FastVlmForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Writes what stock ``from_pretrained`` reads, the processor beside the weights."""
    vision: Any = model.config.vision_config
    tokenizer.padding_side = "left"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    lite2_processor(vision.image_size).save_pretrained(folder)
    LlavaProcessor(
        image_processor=lite2_processor(vision.image_size),
        tokenizer=tokenizer,
        patch_size=vision.image_size // round(model.config.image_seq_length**0.5),
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
