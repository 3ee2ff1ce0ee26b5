"""Both embedded families."""

import pytest

from hipp_prune.toy.families import FAMILIES, Family


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES.keys())
def family(request: pytest.FixtureRequest) -> Family:
    chosen: Family = request.param
    return chosen
