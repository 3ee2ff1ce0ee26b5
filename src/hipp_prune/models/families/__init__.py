"""The supported families: this folder is their table, and every module has its row, ``FAMILY``."""

from transformers import PreTrainedConfig

from hipp_prune.files.modules import load_module, module_names
from hipp_prune.models.family import Family


def _load_families() -> dict[str, Family]:
    families: dict[str, Family] = {}
    for name in module_names(__name__):
        family: Family = load_module(__name__, name, "FAMILY").FAMILY
        assert family.key not in families, f"there are two families of model type {family.key!r}"
        families[family.key] = family
    return families


SUPPORTED = _load_families()
"""Families with a tested prompt format, by transformers' ``model_type``, or that of the tower where it decides. Others
load if their structure allows, with a warning."""


def family_of(config: PreTrainedConfig) -> Family | None:
    """The row of a model; None if it has none."""
    tower = getattr(getattr(config, "vision_config", None), "model_type", None)
    special = SUPPORTED.get(str(tower))
    if special is not None and (special.model_type, special.tower) == (config.model_type, tower):
        return special
    return SUPPORTED.get(config.model_type)
