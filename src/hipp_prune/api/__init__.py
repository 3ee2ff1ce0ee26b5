"""The public face: every stage as a function on a run directory. The command line calls these and nothing else.

>>> from hipp_prune import api
>>> run = api.calibrate("toy-llava", ["toyworld"], Path("run"))
>>> planner = api.search(run.root)
>>> plan = planner.query(Preference.parse("1,0,0"))
>>> api.prune("toy-llava", plan, Path("smaller"))
>>> api.evaluate("smaller", ["toyworld"])
"""

from hipp_prune.api.baselines import baseline
from hipp_prune.api.checkpoints import checkpoint_plan, evaluate, prune, score_answers, speedups, update_card
from hipp_prune.api.comparison import compare, tabulate
from hipp_prune.api.export import export, push
from hipp_prune.api.options import ModelOptions
from hipp_prune.api.paper import paper
from hipp_prune.api.recovery import recover
from hipp_prune.api.reports import bench_search, report
from hipp_prune.api.runs import calibrate, plan_name, query, search
from hipp_prune.baselines.methods import plan_baseline, write_baseline

__all__ = [
    "ModelOptions",
    "baseline",
    "bench_search",
    "calibrate",
    "checkpoint_plan",
    "compare",
    "evaluate",
    "export",
    "paper",
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
    "tabulate",
    "update_card",
    "write_baseline",
]
