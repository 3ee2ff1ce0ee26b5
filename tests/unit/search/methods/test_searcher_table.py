"""The folder of searchers is their table: a file adds a method, and nothing else need know it."""

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from hipp_prune.errors import InputError
from hipp_prune.search.methods import METHODS, Method
from hipp_prune.search.searchers import load_method
from hipp_prune.search.settings import SearchSettings
from tests.package_copy import copy_package, run_warm

ONE_PLAN = '''
"""The uniform plan, whatever is asked for."""

import numpy as np

from hipp_prune.search.archive import objective_matrix
from hipp_prune.search.session import Session
from hipp_prune.search.solutions import TableSolution

SETTINGS = {"minibatch": 16}


def search(session: Session) -> TableSolution:
    """Evaluates one plan."""
    settings, space = session.settings, session.problem.space
    plans = space.kept(np.full((1, space.num_units), settings.s_max))
    found = session.evaluate(plans, "one", "one-plan")
    session.normaliser.update(session.returns(found))
    return TableSolution(
        plans=plans, objectives=objective_matrix(found), scale=session.normaliser.std, space=space, settings=settings
    )
'''


@pytest.mark.parametrize("method", METHODS)
def test_every_module_is_a_method(method: Method) -> None:
    searcher = load_method(method)
    assert callable(searcher.search)
    assert set(searcher.settings) <= {field.name for field in fields(SearchSettings)}


def test_the_settings_know_every_method() -> None:
    assert get_args(Method) == METHODS


def test_an_unknown_name_is_refused_with_the_known() -> None:
    with pytest.raises(InputError, match=f"no search method 'luck'; choose one of {', '.join(METHODS)}"):
        load_method("luck")
    with pytest.raises(InputError, match=f"expected --method to be '{METHODS[0]}', '{METHODS[1]}'"):
        SearchSettings(method="luck")


def test_a_file_more_is_a_method_more(tmp_path: Path) -> None:
    package = copy_package(tmp_path)
    (package / "search" / "methods" / "one_plan.py").write_text(ONE_PLAN, encoding="utf-8")
    (package / "search" / "methods" / "half_done.py").write_text("SETTINGS = {}\n", encoding="utf-8")
    done = run_warm(
        package,
        "from hipp_prune.experiments.search_bench.landscape import Landscape\n"
        "from hipp_prune.search.archive import Archive\n"
        "from hipp_prune.search.loop import search\n"
        "from hipp_prune.search.settings import SearchSettings\n"
        "settings = SearchSettings(evaluations=4).for_method('one-plan')\n"
        "result = search(Landscape(blocks=4, seed=1), settings, Archive())\n"
        "print(settings.minibatch, result.spent)\n"
        "settings.for_method('half-done')\n",
    )
    assert done.stdout == "16 1.0\n", done.stderr
    assert "half_done.py must define search, as every module of hipp_prune.search.methods" in done.stderr
