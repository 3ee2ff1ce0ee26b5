"""The public face: every stage as a function on a run directory; the command line calls the same ones.

>>> from hipp_prune import api
>>> run = api.calibrate("toy-llava", ["toyworld"], Path("run"))
>>> planner = api.search(run.root)
>>> plan = planner.query(Preference.parse("1,0,0"))
>>> api.prune("toy-llava", plan, Path("smaller"))
>>> api.evaluate("smaller", ["toyworld"])
"""

from hipp_prune.baselines.planning import plan_baseline, write_baseline
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.models import loaded
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.ask import ask
from hipp_prune.stages.auto import Outcome, auto
from hipp_prune.stages.baseline import baseline
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.elastic import prune_elastic
from hipp_prune.stages.evaluate import evaluate, score_answers, speedups, update_card
from hipp_prune.stages.export import export, push
from hipp_prune.stages.in_memory import prune_in_memory
from hipp_prune.stages.prune import checkpoint_plan, prune
from hipp_prune.stages.query import plan_name, query
from hipp_prune.stages.recover import recover
from hipp_prune.stages.report import report
from hipp_prune.stages.search import search
from hipp_prune.stages.settings import (
    AskSettings,
    AutoSettings,
    CalibrateSettings,
    EvaluateSettings,
    ExportSettings,
    LoadSettings,
    QuerySettings,
)
from hipp_prune.stages.wish import Wish

__all__ = [
    "AskSettings",
    "AutoSettings",
    "BaselineSettings",
    "CalibrateSettings",
    "EvaluateSettings",
    "ExportSettings",
    "LoadSettings",
    "Outcome",
    "QuerySettings",
    "RecoverySettings",
    "SearchSettings",
    "Wish",
    "ask",
    "auto",
    "baseline",
    "calibrate",
    "checkpoint_plan",
    "evaluate",
    "export",
    "loaded",
    "plan_baseline",
    "plan_name",
    "prune",
    "prune_elastic",
    "prune_in_memory",
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
