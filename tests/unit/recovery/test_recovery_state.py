"""The state of a recovery beside its checkpoint."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hipp_prune.checkpoints.ledger import RECOVERY_FILE
from hipp_prune.recovery.recover import discard_finished, state_file


@pytest.mark.parametrize(
    ("made_with", "stays"), [({"steps": 5, "rate": 0.1}, False), ({"steps": 6, "rate": 0.1}, True)]
)
def test_the_state_of_a_recovery_that_is_in_its_place_goes_and_no_other(
    tmp_path: Path, made_with: dict[str, float], stays: bool
) -> None:
    out = tmp_path / "recovered"
    out.mkdir()
    (out / RECOVERY_FILE).write_text(json.dumps({"settings": {"steps": 5, "rate": 0.1}}), encoding="utf-8")
    save_file(
        {"weight/a": torch.zeros(1)},
        state_file(out),
        metadata={"settings": json.dumps(made_with), "losses": "[]"},
    )
    discard_finished(out)
    assert state_file(out).exists() == stays


def test_without_a_checkpoint_a_state_stays(tmp_path: Path) -> None:
    state_file(tmp_path / "recovered").write_bytes(b"half a state")
    discard_finished(tmp_path / "recovered")
    assert state_file(tmp_path / "recovered").exists()
