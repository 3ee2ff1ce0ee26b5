"""``--log wandb`` with the package itself, offline; ``make test-wandb`` installs it."""

from importlib.util import find_spec
from pathlib import Path
from time import sleep

import pytest

from hipp_prune.cli import main

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(find_spec("wandb") is None, reason="needs wandb: make test-wandb"),
]


def _keeps(folder: Path, *curves: bytes) -> bool:
    """Whether the one run below a folder has the curves, within seconds: the package's own process writes them."""
    for _ in range(100):
        (kept,) = folder.rglob("*.wandb")
        if all(curve in kept.read_bytes() for curve in curves):
            return True
        sleep(0.1)
    return False


def test_search_and_recovery_keep_their_curves_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    asked = ["--questions", "toyworld"]
    few = ["--evaluations", "8", "--count", "8", "--limit", "8"]
    assert (
        main(["auto", "toy-llava", *asked, "--sparsity", "0.3", *few, "--log", "wandb", "--out", "smaller"])
        == 0
    )
    recovery = ["--steps", "2", "--lora-blocks", "1", "--log", "wandb", "--out", "recovered"]
    assert main(["recover", "smaller", *asked, *recovery]) == 0
    (run,) = tmp_path.glob("smaller-run*/tensorboard")
    assert _keeps(run, b"plan/utility")
    assert _keeps(tmp_path / "recovered-tensorboard", b"recovery/loss", b"recovery/lora_rate")
