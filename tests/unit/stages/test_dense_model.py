"""A run's model is looked for from where a command is given, and what was meant is said."""

from pathlib import Path

import pytest

from hipp_prune.errors import CheckpointError
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.stages.dense_model import dense_model


def test_a_model_named_from_elsewhere_is_told_where_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create(Provenance.now(model="models/llava", questions=("toyworld",), seed=0))
    (tmp_path / "models" / "llava").mkdir(parents=True)
    (tmp_path / "models" / "llava" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert dense_model(run) == "models/llava"
    (tmp_path / "models").rename(tmp_path / "elsewhere")
    assert dense_model(run) == "models/llava", "it may be a name of the hub's"
    run = RunDirectory(tmp_path / "other")
    run.create(Provenance.now(model="llava", questions=("toyworld",), seed=0))
    with pytest.raises(
        CheckpointError, match=f"calibrated on the model llava, which is not found from {tmp_path};"
    ):
        dense_model(run)
