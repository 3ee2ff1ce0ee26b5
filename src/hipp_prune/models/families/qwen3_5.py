"""Qwen3.5: its inputs are those of Qwen2.5-VL; three blocks of four have linear attention, which no mask divides."""

from hipp_prune.models.families.qwen2_5_vl import Qwen2VLAdapter
from hipp_prune.models.family import Family

FAMILY = Family(name="Qwen3.5", model_type="qwen3_5", adapter=Qwen2VLAdapter, tested="contract tests")
