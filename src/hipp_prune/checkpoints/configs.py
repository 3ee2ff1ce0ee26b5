"""A checkpoint's JSON files: read, written as transformers does, and made to name our remote code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.models.auto import modeling_auto

from hipp_prune.errors import CheckpointError, UnsupportedModelError
from hipp_prune.files.reading import read_document
from hipp_prune.models.declared import REMEDY, check_config
from hipp_prune.models.loading import read_config
from hipp_prune.models.uneven import REMOTE_CODE


def read_config_file(path: Path) -> dict[str, Any]:
    """One of a checkpoint's JSON files.

    Raises:
        CheckpointError: if it is missing or holds no JSON object.
    """
    return read_document(path, dict[str, Any], remedy=REMEDY, error=CheckpointError, foreign=True)


def write_config_file(path: Path, content: Mapping[str, Any]) -> None:
    """Writes one of a checkpoint's JSON files as transformers does."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def nested_config(source: Path) -> dict[str, Any]:
    """A checkpoint's config; one that keeps its text settings at the top (Qwen2.5-VL on the hub) is nested.

    Raises:
        CheckpointError: if it is missing, or something we rely on is of another type or range.
        UnsupportedModelError: if it is no model with a text config.
    """
    check_config(source)
    config = read_config_file(source / "config.json")
    if "text_config" in config:
        return config
    config = read_config(source).to_dict()
    if "text_config" not in config:
        raise UnsupportedModelError(
            f"{source}: expected a model with a text_config, found {config['model_type']}"
        )
    return config


def with_old_rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with its language model's rotary embedding told in the words of transformers 4 too.

    Transformers 5 reads either; 4 knows no ``rope_parameters`` and would take its own base for the angles.
    """
    text = config.get("text_config", config)
    rope = text.get("rope_parameters") or {}
    if "rope_theta" not in rope:
        return dict(config)
    scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
    text = {**text, "rope_theta": rope["rope_theta"]}
    if scaling != {"rope_type": "default"}:
        text["rope_scaling"] = scaling
    return {**config, "text_config": text} if "text_config" in config else text


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
