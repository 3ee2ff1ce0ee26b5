"""Shapes are checked; nothing asks Hugging Face's hub.

Property tests draw the same examples everywhere and do not fail because a machine is busy.

The embedded world is drawn once, and copied where a test wants it: drawing its pictures takes seconds.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from tests import rounding, shapes

os.environ.setdefault(
    "HF_HUB_OFFLINE", "1"
)  # before its client is imported, and for processes that tests start

MATHS = (
    "hipp_prune.plans.allocation",
    "hipp_prune.plans.costs",
    "hipp_prune.plans.space",
    "hipp_prune.objectives",
    "hipp_prune.pruning.criteria",
    "hipp_prune.pruning.importance",
    "hipp_prune.search.policy",
    "hipp_prune.search.surrogate",
)
"""Where annotations say shapes: every call is checked against them."""

install_import_hook(MATHS, f"{shapes.checked.__module__}.{shapes.checked.__name__}")

settings.register_profile(
    "house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

if os.environ.get("ROUND_BY_SHAPE"):
    rounding.round_by_shape()


@pytest.fixture(scope="session", autouse=True)
def _drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from hipp_prune.questions.toyworld import files

    draw, kept = files._write_split, tmp_path_factory.mktemp("worlds")

    def copy(folder: Path, split: str, seed: int) -> None:
        drawn = kept / str(seed) / split
        if not drawn.exists():
            draw(drawn, split, seed)
        shutil.copytree(drawn, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_write_split", copy)
        yield
