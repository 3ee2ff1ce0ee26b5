"""The supported families: this folder is their table, and every module has its row, ``FAMILY``."""

from hipp_prune.files.modules import load_module, module_names
from hipp_prune.models.family import Family


def _load_families() -> dict[str, Family]:
    families: dict[str, Family] = {}
    for name in module_names(__name__):
        family: Family = load_module(__name__, name, "FAMILY").FAMILY
        assert family.model_type not in families, (
            f"there are two families of model type {family.model_type!r}"
        )
        families[family.model_type] = family
    return families


SUPPORTED = _load_families()
"""Families with a tested prompt format, by transformers' ``model_type``. Others load if their structure allows, with a
warning."""
