"""Tasks of lmms-eval that count for robustness: ``lmms-eval:TASK,role=robustness``."""

from dataclasses import replace
from functools import partial

from hipp_prune.questions.benchmarks.lmms_eval import BENCHMARK as OF_UTILITY
from hipp_prune.questions.benchmarks.lmms_eval import load, score

_NAME, _TITLE = "lmms-eval-robustness", "lmms-eval (robustness)"

BENCHMARK = replace(
    OF_UTILITY,
    name=_NAME,
    title=_TITLE,
    role="robustness",
    load=partial(load, benchmark=_NAME),
    score=partial(score, title=_TITLE),
)
