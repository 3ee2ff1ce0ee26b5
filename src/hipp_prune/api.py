"""The public face: every stage as a function on a run directory. The command line calls these and nothing else.

>>> from hipp_prune import api
>>> run = api.calibrate("toy-llava", ["toyworld"], Path("run"))
>>> planner = api.search(run.root)
>>> plan = planner.query(Preference.parse("1,0,0"))
>>> api.prune("toy-llava", plan, Path("smaller"))
>>> api.evaluate("smaller", ["toyworld"])
"""

from hipp_prune.baselines.methods import plan_baseline, write_baseline
from hipp_prune.stages.baseline import baseline
from hipp_prune.stages.checkpoints import (
    checkpoint_plan,
    evaluate,
    prune,
    score_answers,
    speedups,
    update_card,
)
from hipp_prune.stages.export import export, push
from hipp_prune.stages.loading import LoadSettings
from hipp_prune.stages.recover import recover
from hipp_prune.stages.report import report
from hipp_prune.stages.runs import calibrate, plan_name, query, search

__all__ = [
    "LoadSettings",
    "baseline",
    "calibrate",
    "checkpoint_plan",
    "evaluate",
    "export",
    "plan_baseline",
    "plan_name",
    "prune",
    "push",
    "query",
    "recover",
    "report",
    "score_answers",
    "search",
    "speedups",
    "update_card",
    "write_baseline",
]
