"""Aya Vision: tiles and an overview, each with its mark; a Cohere backbone, whose MLP and attention run side by side."""

from hipp_prune.models.family import Family
from hipp_prune.models.stock_layout import StockLayoutAdapter


class AyaVisionAdapter(StockLayoutAdapter):
    """``<image>`` in the prompt becomes marks and patches as the stock processor lays them out."""


FAMILY = Family(name="Aya Vision", model_type="aya_vision", adapter=AyaVisionAdapter, tested="contract tests")
