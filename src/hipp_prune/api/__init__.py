"""The public face: every stage as a function on a run directory. The command line calls these and nothing else.

>>> from hipp_prune import api
>>> run = api.calibrate("toy-llava", ["toyworld"], Path("run"))
>>> planner = api.search(run.root)
>>> plan = planner.query(Preference.parse("1,0,0"))
>>> api.prune("toy-llava", plan, Path("smaller"))
>>> api.evaluate("smaller", ["toyworld"])
"""

from hipp_prune.api.baselines import baseline, plan_baseline, write_baseline
from hipp_prune.api.checkpoints import checkpoint_plan, evaluate, prune, score_answers, speedups
from hipp_prune.api.options import ModelOptions
from hipp_prune.api.recovery import recover
from hipp_prune.api.reports import bench_search, report
from hipp_prune.api.runs import calibrate, plan_name, query, search

__all__ = [
    "ModelOptions",
    "baseline",
    "bench_search",
    "calibrate",
    "checkpoint_plan",
    "evaluate",
    "plan_baseline",
    "plan_name",
    "prune",
    "query",
    "recover",
    "report",
    "score_answers",
    "search",
    "speedups",
    "write_baseline",
]
