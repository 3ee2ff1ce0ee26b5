"""PaliGemma 2: PaliGemma on a Gemma 2, which caps its attention scores and has a window in every other block."""

from hipp_prune.models.families.paligemma import FAMILY as PALIGEMMA
from hipp_prune.models.families.paligemma import PaliGemmaAdapter
from hipp_prune.models.family import Family

FAMILY = Family(
    name="PaliGemma 2",
    model_type="paligemma",
    backbone="gemma2",
    adapter=PaliGemmaAdapter,
    tested="contract tests",
    chat_template=PALIGEMMA.chat_template,
    cannot=PALIGEMMA.cannot,
)
