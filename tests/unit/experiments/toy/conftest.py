"""Both embedded families, on one thread."""

from collections.abc import Iterator

import pytest
import torch

from hipp_prune.experiments.toy.families import TOY_FAMILIES, ToyFamily


@pytest.fixture(params=TOY_FAMILIES.values(), ids=TOY_FAMILIES.keys())
def family(request: pytest.FixtureRequest) -> ToyFamily:
    chosen: ToyFamily = request.param
    return chosen


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """On a busy machine several threads make models this small ten times slower, waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
