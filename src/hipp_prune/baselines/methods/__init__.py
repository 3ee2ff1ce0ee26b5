"""The baselines: this folder is their table, a module is a method and its file's name the method's.

Every module has ``plan(setting)``, which says what leaves. One that compensates for it by itself has ``COMPENSATION``,
and its plans say so. One that may remove more than neurons has ``only_neurons(settings)``, whether it leaves all else
alone, and ``refuse_model(adapter)``, which refuses a model where that cannot leave. One that may remove none whole has
``whole_neurons(settings)``, whether it does: others cannot be compensated for. Naming the methods imports none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.errors import InputError
from hipp_prune.files.modules import load_module, module_names
from hipp_prune.plans.modes import Compensation

if TYPE_CHECKING:
    from hipp_prune.baselines.setting import Planned, Setting
    from hipp_prune.models.adapter import Adapter

BASELINES = module_names(__name__)
"""What ``--method`` may name: the modules of this folder."""

if TYPE_CHECKING:
    Baseline = str
else:
    Baseline = Literal[BASELINES]


@dataclass(frozen=True, kw_only=True)
class Heuristic:
    """A way to choose what leaves without a search, as its module defines it."""

    plan: "Callable[[Setting], Planned]"
    """Says what leaves a model at its budget."""
    only_neurons: Callable[[BaselineSettings], bool]
    """Whether all but the MLPs' neurons is left alone."""
    refuse_model: "Callable[[Adapter], object]"
    """Refuses a model where something else than neurons cannot leave; asked where it would."""
    whole_neurons: Callable[[BaselineSettings], bool]
    """Whether whole neurons leave, for which those that stay can answer."""
    compensation: Compensation
    """How the method by itself lets those that stay answer for those that leave."""


def load_baseline(method: Baseline) -> Heuristic:
    """Imports the module of a method, and what it defines.

    Raises:
        InputError: if there is none of that name.
    """
    if method not in BASELINES:
        raise InputError(f"there is no baseline {method!r}; choose one of {', '.join(BASELINES)}")
    module = load_module(__name__, method, "plan")
    return Heuristic(
        plan=module.plan,
        only_neurons=getattr(module, "only_neurons", lambda _: True),
        refuse_model=getattr(module, "refuse_model", lambda _: None),
        whole_neurons=getattr(module, "whole_neurons", lambda _: True),
        compensation=getattr(module, "COMPENSATION", "none"),
    )
