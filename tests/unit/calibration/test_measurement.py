import json
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hipp_prune.calibration.measurement import Calibration, calibrate, observe
from hipp_prune.errors import (
    CheckpointError,
    HippPruneError,
    ImageError,
    IncompleteRunError,
    QuestionError,
    RunError,
)
from hipp_prune.models.adapter import Adapter


def _tensors(calibration: Calibration) -> dict[str, torch.Tensor]:
    named = {f"taylor.{i}": scores for i, scores in enumerate(calibration.taylor)}
    for kind in ("count", "total", "square", "maximum"):
        for name in ("inputs", "neurons"):
            named |= {
                f"{name}.{i}.{kind}": getattr(m, kind) for i, m in enumerate(getattr(calibration, name))
            }
    return named | {"visual.total": calibration.visual.total, "visual.count": calibration.visual.count}


def _assert_close(ours: Calibration, theirs: Calibration, tolerance: float) -> None:
    left, right = _tensors(ours), _tensors(theirs)
    assert left.keys() == right.keys()
    assert ours.num_questions == theirs.num_questions
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=tolerance, atol=tolerance * 10, msg=name)


@pytest.fixture(scope="module")
def calibration(family) -> Calibration:
    return calibrate(family.adapter, family.questions, batch_size=3, taylor_questions=3)


def test_shapes_and_counts(family, calibration):
    shape = family.adapter.shape
    assert calibration.num_questions == 7
    assert [m.total.shape for m in calibration.inputs] == [(2, shape.hidden_size)] * shape.num_blocks
    assert [m.total.shape[1] for m in calibration.neurons] == list(shape.neurons)
    assert [len(scores) for scores in calibration.taylor] == list(shape.neurons)
    assert calibration.visual.per_block().shape == (shape.num_blocks,)
    batch, _ = family.encode(family.questions)
    tokens = [batch.image_mask.sum().item(), (batch.attention_mask.bool() & ~batch.image_mask).sum().item()]
    assert all(m.count.tolist() == tokens for m in (*calibration.inputs, *calibration.neurons))


def test_deterministic_to_the_bit_and_independent_of_order(family, calibration):
    """Questions are sorted first, so the batches are the same."""
    again = calibrate(family.adapter, family.questions[::-1], batch_size=3, taylor_questions=3)
    _assert_close(again, calibration, 0.0)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_independent_of_the_batch_size(family, calibration, batch_size):
    other = calibrate(family.adapter, family.questions, batch_size=batch_size, taylor_questions=3)
    _assert_close(other, calibration, 1e-4)


def test_workers_add_up(family, calibration):
    parts = [observe(family.adapter, family.questions[start::2], batch_size=2) for start in range(2)]
    merged = replace(
        calibration,
        inputs=(whole := parts[0].merge(parts[1])).inputs,
        neurons=whole.neurons,
        visual=whole.visual,
    )
    _assert_close(merged, calibration, 1e-4)


def test_progress_counts_every_question_once(llava):
    told: list[tuple[int, int]] = []
    calibrate(
        llava.adapter, llava.questions, batch_size=4, taylor_questions=2, progress=lambda *x: told.append(x)
    )
    assert told == [(4, 9), (7, 9), (8, 9), (9, 9)]


def test_each_image_is_encoded_once_and_nothing_keeps_a_graph(llava, monkeypatch):
    encoded: Counter[int] = Counter()
    plain = Adapter.encode_images

    def spy(self, images):
        features = plain(self, images)
        assert not any(each.tokens.requires_grad for each in features)
        encoded["images"] += len(images)
        return features

    monkeypatch.setattr(Adapter, "encode_images", spy)
    observed = observe(llava.adapter, llava.questions, batch_size=2)
    assert encoded["images"] == 2
    assert not observed.inputs[0].total.requires_grad


def test_no_question_is_an_error(llava):
    with pytest.raises(QuestionError, match="at least one question"):
        calibrate(llava.adapter, [])


def test_a_missing_image_is_an_error_that_names_it(llava, tmp_path):
    question = replace(llava.questions[0], images=(tmp_path / "gone.png",))
    with pytest.raises(ImageError, match=r"gone\.png"):
        calibrate(llava.adapter, [question])


def test_round_trip(calibration, tmp_path):
    path = tmp_path / "run" / "calibration.safetensors"
    calibration.save(path)
    _assert_close(Calibration.load(path), calibration, 0.0)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_old_file(calibration, tmp_path, monkeypatch):
    path = tmp_path / "calibration.safetensors"
    calibration.save(path)

    def half(_tensors, temporary: Path, _metadata):
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hipp_prune.calibration.measurement.save_file", half)
    with pytest.raises(RunError, match="No space left"):
        calibration.save(path)
    _assert_close(Calibration.load(path), calibration, 0.0)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(IncompleteRunError, match="hipp-prune calibrate"):
        Calibration.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_an_error(calibration, tmp_path, keep):
    path = tmp_path / "calibration.safetensors"
    calibration.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(IncompleteRunError, match="cut off"):
        Calibration.load(path)


def test_a_foreign_file_is_an_error(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="expected a file that says"):
        Calibration.load(path)


@pytest.mark.parametrize("change", ["num_questions", "num_blocks", "tensor"])
def test_a_contradictory_file_is_an_error(calibration, tmp_path, change):
    path = tmp_path / "calibration.safetensors"
    calibration.save(path)
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    if change == "tensor":
        header["taylor.x"] = header.pop("taylor.0")
    else:
        header["__metadata__"][change] = "many" if change == "num_questions" else "40"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    with pytest.raises(HippPruneError, match=r"calibration\.safetensors"):
        Calibration.load(path)
