"""The names that users choose among: distinct, the default first, listed without torch."""

import subprocess
import sys
from typing import get_args, get_type_hints

import pytest

from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.search.methods import METHODS
from hipp_prune.search.settings import SearchSettings

NAMED = [
    (settings, name)
    for settings in (SearchSettings, BaselineSettings)
    for name, kind in get_type_hints(settings).items()
    if get_args(kind) and all(isinstance(value, str) for value in get_args(kind))
]


def test_the_settings_have_named_alternatives() -> None:
    assert {(SearchSettings, "unit"), (SearchSettings, "method"), (BaselineSettings, "match")} <= set(NAMED)


@pytest.mark.parametrize(("settings", "name"), NAMED)
def test_names_are_distinct_and_the_default_comes_first(settings: type, name: str) -> None:
    names = get_args(get_type_hints(settings)[name])
    assert len(names) == len(set(names)) >= 2
    default = getattr(settings(), name)
    assert default in names if names == METHODS else default == names[0]


def test_settings_and_what_lies_on_disk_need_no_torch() -> None:
    modules = (
        "search.settings", "baselines.settings", "baselines.methods", "stages.settings", "export.formats",
        "recovery.settings", "plans.plan", "plans.preference", "files.run_directory", "files.modules",
    )  # fmt: skip
    code = "import sys\n" + "".join(f"import hipp_prune.{module}\n" for module in modules)
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
