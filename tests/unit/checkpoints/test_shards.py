"""Files cut as bytes equal files cut as tensors, whatever the dtype, shape and order."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hipp_prune.checkpoints.shards import Cut, Values, read_shard, stored_name, write_shard
from hipp_prune.errors import CheckpointError

DTYPES = [
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float8_e4m3fn,
    torch.int8,
    torch.bool,
]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_bytes_agree_with_tensors(data: st.DataObject) -> None:
    tensors, cuts, expected = {}, {}, {}
    for index in range(data.draw(st.integers(1, 4))):
        name = f"t{index}.é"
        shape = data.draw(st.lists(st.integers(0, 5), max_size=3))
        tensor = torch.randint(-9, 9, shape).to(data.draw(st.sampled_from(DTYPES)))
        tensors[name] = expected[name] = tensor
        if shape and data.draw(st.booleans()):
            axis = data.draw(st.integers(0, len(shape) - 1))
            keep = np.array(
                data.draw(st.lists(st.booleans(), min_size=shape[axis], max_size=shape[axis])), dtype=bool
            )
            cuts[name] = Cut(keep=keep, axis=axis, zero=data.draw(st.booleans()))
            expected[name] = by_tensor(tensor, cuts[name])
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.safetensors", Path(folder) / "out.safetensors"
        metadata = data.draw(st.sampled_from([None, {"format": "pt"}]))
        save_file(tensors, source, metadata)
        written = write_shard(read_shard(source), target, cuts)
        found = load_file(target)
        assert written == sum(tensor.nbytes for tensor in expected.values()) == read_shard(target).num_bytes
        assert read_shard(target).metadata == metadata
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].reshape(-1).view(torch.uint8).equal(tensor.reshape(-1).view(torch.uint8))


def by_tensor(tensor: torch.Tensor, cut: Cut) -> torch.Tensor:
    places = torch.as_tensor(np.flatnonzero(cut.keep))
    raw = tensor.view(torch.uint8) if tensor.dtype == torch.float8_e4m3fn else tensor
    kept = raw.index_select(cut.axis, places)
    if cut.zero:
        kept = torch.zeros_like(raw).index_copy(cut.axis, places, kept)
    return kept.view(tensor.dtype)


def test_without_cuts_a_file_is_copied_exactly(tmp_path: Path) -> None:
    save_file(
        {"a": torch.rand(7, 3), "b": torch.rand(2).half()}, tmp_path / "in.safetensors", {"format": "pt"}
    )
    write_shard(read_shard(tmp_path / "in.safetensors"), tmp_path / "out.safetensors", {})
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "in.safetensors").read_bytes()


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}extra"])
def test_what_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="missing or cut off"):
        read_shard(tmp_path / "bad.safetensors")


def test_values_replace_a_tensor_or_join_the_others(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2), "c": torch.zeros(1)}
    save_file(tensors, tmp_path / "in.safetensors", {"format": "pt"})
    content = np.array([7.0, 8.0, 9.0], dtype=np.float32).tobytes()
    value = Values(dtype="F32", shape=(3,), content=content)
    shard = read_shard(tmp_path / "in.safetensors")
    written = write_shard(shard, tmp_path / "out.safetensors", {}, {"b": value, "new": value})
    found = load_file(tmp_path / "out.safetensors")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "a": [[0, 1, 2], [3, 4, 5]], "c": [0], "b": [7, 8, 9], "new": [7, 8, 9],
    }  # fmt: skip
    assert written == 4 * (6 + 1 + 3 + 3)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("vision_tower.embeddings.class_embedding", "vision_tower.vision_model.embeddings.class_embedding"),
        ("model.vision_tower.encoder.layers.0.b", "model.vision_tower.vision_model.encoder.layers.0.b"),
        ("vision_tower.pre_layrnorm.bias", "vision_tower.vision_model.pre_layrnorm.bias"),
        ("vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",) * 2,
        ("vision_tower.encoder.layer.0.mlp.fc1.bias",) * 2,
        ("vision_tower.embeddings.position_embeddings",) * 2,
        ("model.layers.0.mlp.gate_proj.weight",) * 2,
    ],
)  # fmt: skip
def test_clip_has_the_names_of_the_hub_and_others_keep_theirs(name: str, stored: str) -> None:
    """InternVL's tower, in the singular, is another one."""
    assert stored_name(name) == stored
