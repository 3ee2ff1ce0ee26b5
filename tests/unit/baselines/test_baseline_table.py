"""The folder of baselines is their table: a file adds a method, and nothing else need know it."""

from pathlib import Path
from typing import get_args

import pytest

from hipp_prune.baselines.methods import BASELINES, Baseline, load_baseline
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.errors import InputError
from tests.package_copy import copy_package, run_python

FIRST = '''
"""The first neurons of every block stay."""

import numpy as np

from hipp_prune.baselines.setting import Setting, make_plan, uniform_counts
from hipp_prune.plans.plan import Plan


def plan(setting: Setting) -> Plan:
    """Neurons in their own order."""
    space = setting.space()
    kept = uniform_counts(space, setting.mlp_sparsity)
    return make_plan(space, kept, [np.arange(width) for width in space.widths], importance="first")
'''


@pytest.mark.parametrize("method", BASELINES)
def test_every_module_is_a_method(method: Baseline) -> None:
    assert callable(load_baseline(method).plan)


def test_the_command_line_knows_every_method() -> None:
    assert get_args(Baseline) == BASELINES


def test_who_removes_more_than_neurons_says_so() -> None:
    heuristics = {method: load_baseline(method) for method in BASELINES}
    more = {
        settings: [method for method, told in heuristics.items() if not told.only_neurons(settings)]
        for settings in (BaselineSettings(), BaselineSettings(attention=True))
    }
    assert list(more.values()) == [["slicegpt"], ["llm-pruner", "slicegpt"]]


def test_an_unknown_name_is_refused_with_the_known() -> None:
    with pytest.raises(InputError, match=f"no baseline 'luck'; choose one of {', '.join(BASELINES)}"):
        load_baseline("luck")


def test_a_file_more_is_a_baseline_more(tmp_path: Path) -> None:
    package = copy_package(tmp_path)
    (package / "baselines" / "methods" / "first_ones.py").write_text(FIRST, encoding="utf-8")
    (package / "baselines" / "methods" / "half_done.py").write_text("", encoding="utf-8")
    out = tmp_path / "pruned"
    done = run_python(
        package,
        "from hipp_prune.cli import main\n"
        "from hipp_prune.baselines.methods import load_baseline\n"
        "words = 'baseline --model toy-llava --questions toyworld --method first-ones --sparsity 0.25 --count 8'\n"
        f"assert main([*words.split(), '--out', {str(out)!r}]) == 0\n"
        "load_baseline('half-done')\n",
    )
    assert (out / "plan.json").is_file(), done.stderr
    assert "half_done.py must define plan, as every module of hipp_prune.baselines.methods" in done.stderr
