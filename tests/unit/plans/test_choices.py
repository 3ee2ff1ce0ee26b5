import subprocess
import sys
from typing import get_args

import pytest

from hipp_prune.plans import choices

KINDS = [
    "UnitKind", "Compression", "Allocation", "ReturnKind", "BandKind", "FlowKind", "AdvantageKind",
    "GateKind",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_distinct(kind):
    names = get_args(getattr(choices, kind))
    assert len(names) >= 2
    assert len(set(names)) == len(names)


def test_first_name_is_the_default():
    from hipp_prune.search.settings import SearchSettings

    config = SearchSettings()
    fields = {
        "unit": "UnitKind", "compression": "Compression", "allocation": "Allocation",
        "returns": "ReturnKind", "band": "BandKind", "flow": "FlowKind", "advantage": "AdvantageKind",
        "gate": "GateKind",
    }  # fmt: skip
    for field, kind in fields.items():
        assert getattr(config, field) == get_args(getattr(choices, kind))[0], field


def test_needs_no_torch():
    code = (
        "import sys, hipp_prune.plans.choices, hipp_prune.plans.plan, hipp_prune.plans.preference;"
        "import hipp_prune.files.run_directory;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
