"""The criteria are a table: one function adds one, and every user of the names knows it."""

from pathlib import Path
from typing import get_args

import pytest

from hipp_prune.errors import InputError
from hipp_prune.pruning import criteria
from hipp_prune.search.settings import SearchSettings
from tests.package_copy import copy_package, run_python

FEWEST = '''

@criterion
def smallest_up(neurons: Neurons) -> "Tensor":
    """The norm of the neuron's up row."""
    return neurons.up.double().norm(dim=1)
'''


def test_the_settings_know_every_criterion_and_the_default_comes_first() -> None:
    assert get_args(criteria.Criterion) == tuple(criteria.CRITERIA)
    assert next(iter(criteria.CRITERIA)) == "coupled"


def test_a_name_stands_for_one_criterion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(criteria, "CRITERIA", dict(criteria.CRITERIA))
    with pytest.raises(AssertionError, match="two criteria 'wanda-sp'"):
        criteria.criterion(criteria.wanda_sp)


def test_a_function_more_is_a_criterion_more(tmp_path: Path) -> None:
    package = copy_package(tmp_path)
    table = package / "pruning" / "criteria.py"
    table.write_text(
        table.read_text("utf-8").replace("\n\ndef row_scores", FEWEST + "\n\ndef row_scores"), "utf-8"
    )
    code = (
        "import sys; from hipp_prune.search.settings import SearchSettings as S; "
        "from hipp_prune.baselines.settings import BaselineSettings as B; "
        "print(S(importance='smallest-up').importance, B(importance='smallest-up').importance); "
        "sys.exit('torch' in sys.modules)"
    )
    done = run_python(package, code)
    assert (done.returncode, done.stdout) == (0, "smallest-up smallest-up\n"), done.stderr


def test_an_unknown_name_is_refused_with_the_known() -> None:
    with pytest.raises(
        InputError, match="expected --importance to be 'coupled', 'paper', 'magnitude', 'wanda-sp'"
    ):
        SearchSettings(importance="luck")
