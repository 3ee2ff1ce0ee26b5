"""A pruned checkpoint without its plan is not dense, and one pruned again says what its savings are counted from."""

from pathlib import Path

import pytest

from hipp_prune.checkpoints.ledger import PLAN_FILE, lost_savings
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.export.pad import write_padded
from hipp_prune.files.manifest import FILE_LIST
from hipp_prune.models import load_model
from hipp_prune.stages.evaluate import _label
from tests.tiny import tiny_llava
from tests.unit.checkpoints.tiny_plans import make_plan


def test_a_dense_model_has_lost_nothing(tmp_path: Path) -> None:
    assert lost_savings(tiny_llava(tmp_path)) is None


@pytest.mark.parametrize("even", [True, False])
def test_a_pruned_checkpoint_without_its_plan_says_so(tmp_path: Path, even: bool) -> None:
    source = tiny_llava(tmp_path)
    neurons = load_model(source).shape.neurons
    kept = [neurons[0] // 2] * len(neurons) if even else [n // 2 + i for i, n in enumerate(neurons)]
    prune_checkpoint(source, make_plan(load_model(source), "coupled", kept), tmp_path / "out")
    assert lost_savings(tmp_path / "out") is None
    for name in (PLAN_FILE, FILE_LIST):  # as a copy without them
        (tmp_path / "out" / name).unlink()
    sentence = lost_savings(tmp_path / "out")
    assert sentence is not None
    assert "is a pruned checkpoint, but neither plan.json nor ledger.json is there" in sentence
    assert _label(tmp_path / "out") == "pruned"
    assert _label(source) == "dense"
    if not even:
        assert sentence in write_padded(tmp_path / "out", tmp_path / "padded").notes


def test_a_checkpoint_pruned_again_says_what_its_savings_are_counted_from(tmp_path: Path) -> None:
    source, once, twice = tiny_llava(tmp_path), tmp_path / "once", tmp_path / "twice"
    for before, after in ((source, once), (once, twice)):
        adapter = load_model(before)
        kept = [count - 2 for count in adapter.shape.neurons]
        report = prune_checkpoint(before, make_plan(adapter, "coupled", kept), after)
        assert ("had been pruned before, and savings are counted from it" in report.summary) == (
            before == once
        )
