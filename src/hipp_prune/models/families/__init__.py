"""The supported families: this folder is their table, and every module has its row, ``FAMILY``."""

from transformers import PreTrainedConfig

from hipp_prune.files.modules import load_module, module_names
from hipp_prune.models.family import Family, key_of


def _load_families() -> dict[str, Family]:
    families: dict[str, Family] = {}
    for name in module_names(__name__):
        family: Family = load_module(__name__, name, "FAMILY").FAMILY
        assert family.key not in families, f"there are two families of model type {family.key!r}"
        families[family.key] = family
    return families


SUPPORTED = _load_families()
"""Families with a tested prompt format, by transformers' ``model_type``, or by that of the tower or the language model
where it decides. Others load if their structure allows, with a warning."""


def family_of(config: PreTrainedConfig) -> Family | None:
    """The row of a model; None if it has none."""
    tower, backbone = (
        getattr(getattr(config, part, None), "model_type", None) for part in ("vision_config", "text_config")
    )
    for key in (str(tower), key_of(config.model_type, backbone)):
        special = SUPPORTED.get(key)
        if special is not None and special.model_type == config.model_type:
            return special
    return SUPPORTED.get(config.model_type)
