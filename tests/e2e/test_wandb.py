"""``--log wandb`` with the package itself, offline; ``make test-wandb`` installs it."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from hipp_prune.cli import main

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(find_spec("wandb") is None, reason="needs wandb: make test-wandb"),
]


def _told(folder: Path) -> bytes:
    """What the one run below a folder keeps."""
    (kept,) = folder.rglob("*.wandb")
    return kept.read_bytes()


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
    assert b"plan/utility" in _told(run)
    told = _told(tmp_path / "recovered-tensorboard")
    assert b"recovery/loss" in told
    assert b"recovery/lora_rate" in told
