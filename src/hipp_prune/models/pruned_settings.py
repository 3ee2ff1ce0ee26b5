"""What a configuration says of blocks that pruning made, and how it names the code that such blocks need."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers.models.auto import modeling_auto

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models.uneven import DOWN_BIAS, KEY_VALUE_HEADS, REMOTE_CODE


def pruned_settings(
    text: Mapping[str, Any],
    widths: Sequence[int],
    *,
    down_bias: bool = False,
    heads: Sequence[int] | None = None,
    one_width: bool = True,
) -> dict[str, Any]:
    """The settings of a language model that pruning changes; None for one that it takes away.

    Args:
        text: its settings before.
        widths: neurons that each block keeps.
        down_bias: whether the down projections gain biases.
        heads: key/value heads that each block keeps; as before if none are given.
        one_width: whether blocks that are alike may say so by the one width of the model.
    """
    own = {
        DOWN_BIAS: True if down_bias else text.get(DOWN_BIAS),
        KEY_VALUE_HEADS: text.get(KEY_VALUE_HEADS) if heads is None else list(heads),
    }
    if isinstance(text["intermediate_size"], list):  # the stock class takes a width a block (Gemma 3n)
        return {"intermediate_size": list(widths), "per_layer_config": None, **own}
    if text.get(
        "use_double_wide_mlp"
    ):  # the stock class takes two widths (Gemma 4); these here are all there are
        own["use_double_wide_mlp"] = False
    equal = one_width and len(set(widths)) == 1
    return {
        "intermediate_size": widths[0] if equal else text["intermediate_size"],
        "per_layer_config": _with_widths(text.get("per_layer_config") or {}, None if equal else widths),
        **own,
    }


def _with_widths(
    blocks: Mapping[str, Mapping[str, Any]], widths: Sequence[int] | None
) -> dict[str, dict[str, Any]] | None:
    """What blocks have of their own, with other widths, or with none if all are alike; None for nothing at all."""
    own = {
        int(block): {name: value for name, value in settings.items() if name != "intermediate_size"}
        for block, settings in blocks.items()
    }
    for block, width in enumerate(widths or ()):
        own[block] = {"intermediate_size": width, **own.get(block, {})}
    return {str(block): settings for block, settings in sorted(own.items()) if settings} or None


def needs_code(settings: Mapping[str, Any]) -> bool:
    """Whether the stock class cannot model these settings of a language model."""
    blocks = (settings.get("per_layer_config") or {}).values()
    uneven = any("intermediate_size" in block for block in blocks)
    return uneven or any(settings.get(name) for name in (DOWN_BIAS, KEY_VALUE_HEADS))


def auto_map(model_type: str) -> dict[str, str]:
    """How ``config.json`` names the classes of our remote code.

    Raises:
        UnsupportedModelError: if transformers has no image-text-to-text class for the model type.
    """
    names: dict[str, Mapping[str, Any]] = {
        "AutoModel": modeling_auto.MODEL_MAPPING_NAMES,
        "AutoModelForImageTextToText": modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    }
    if not all(model_type in classes for classes in names.values()):
        raise UnsupportedModelError(
            f"expected a model_type that transformers has an image-text-to-text class for, found "
            f"{model_type!r}; only those can be stored with blocks of uneven width"
        )
    return {
        auto: f"{REMOTE_CODE.removesuffix('.py')}.{classes[model_type]}" for auto, classes in names.items()
    }
