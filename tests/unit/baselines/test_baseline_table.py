"""The folder of baselines is their table: a file adds a method, and nothing else need know it."""

from pathlib import Path
from typing import get_args

import pytest

from hipp_prune.baselines.methods import BASELINES, Baseline, load_baseline
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.errors import InputError
from tests.package_copy import copy_package, run_warm


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


def test_a_file_without_its_function_fails_by_name(tmp_path: Path) -> None:
    package = copy_package(tmp_path)
    (package / "baselines" / "methods" / "half_done.py").write_text("", encoding="utf-8")
    done = run_warm(
        package, "from hipp_prune.baselines.methods import load_baseline; load_baseline('half-done')"
    )
    assert "half_done.py must define plan, as every module of hipp_prune.baselines.methods" in done.stderr
