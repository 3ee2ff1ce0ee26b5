"""The one place that refuses changed settings."""

from pathlib import Path

import pytest

from hipp_prune.errors import RunError
from hipp_prune.files.changes import refuse_changes

HERE = Path("run/search")


def test_the_same_settings_go_on_and_a_tuple_is_the_list_that_json_made_of_it() -> None:
    refuse_changes(HERE, {"budgets": [1, 2], "seed": 0}, {"seed": 0, "budgets": (1, 2)}, remedy="stop")
    refuse_changes(HERE, {"budgets": (1, 2)}, {"budgets": [1, 2]}, remedy="stop")


def test_every_change_is_named_with_what_helps() -> None:
    with pytest.raises(RunError) as raised:
        refuse_changes(HERE, {"a": 1, "b": None, "d": 0}, {"a": 2, "b": None, "c": "x"}, remedy="add --force")
    assert str(raised.value) == (
        "run/search was made with other settings (a 1 → 2, c None → 'x', d 0 → None); repeat them to go on with it, "
        "or add --force"
    )
