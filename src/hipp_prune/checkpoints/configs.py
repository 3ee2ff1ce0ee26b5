"""A checkpoint's JSON files: read, written as transformers does, and made to name our remote code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hipp_prune.errors import CheckpointError, UnsupportedModelError
from hipp_prune.files.reading import read_document
from hipp_prune.models.declared import REMEDY, check_config
from hipp_prune.models.loading import read_config


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
