"""Which device is taken, how it is called, how many threads suit a model, and which precisions are slow."""

from pathlib import Path

import pytest
import torch

from hipp_prune.errors import InputError
from hipp_prune.models import devices
from hipp_prune.models.devices import (
    best_device,
    describe_device,
    parse_device,
    slow_precision,
    useful_threads,
)


@pytest.mark.parametrize(
    ("cuda", "mps", "doubles", "best"),
    [
        (True, True, True, "cuda"),
        (True, False, False, "cuda"),
        (False, True, True, "mps"),
        (False, True, False, "cpu"),
        (False, False, True, "cpu"),
    ],
)
def test_the_best_device(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, doubles: bool, best: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(devices, "_has_doubles", lambda _: doubles)
    assert best_device() == best


def test_a_device_that_is_not_there_is_refused_by_the_name_that_was_given() -> None:
    with pytest.raises(InputError, match="device 'nonsense' is not available here"):
        parse_device("nonsense")
    assert parse_device("cpu") == torch.device("cpu")


def test_a_gpu_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told:
        name, total_memory = "NVIDIA H100", 80 * 10**9

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Told)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert describe_device(torch.device("cuda", 1)) == "cuda:1 (NVIDIA H100, 80 GB)"
    assert describe_device(torch.device("cuda")) == "cuda:0 (NVIDIA H100, 80 GB)"
    assert describe_device(torch.device("cpu")).startswith("cpu (")


def test_small_models_get_one_thread_and_large_ones_every_processor() -> None:
    assert useful_threads(300_000, 8) == 1
    assert useful_threads(3_000_000_000, 8) == 8
    assert useful_threads(3_000_000_000, 1) == 1


@pytest.mark.parametrize(
    ("flags", "dtype", "slow"),
    [
        ("flags\t: avx2 avx512f", torch.bfloat16, "no instructions for bfloat16"),
        ("flags\t: avx512_bf16 amx_bf16", torch.bfloat16, None),
        ("Features\t: fp asimd bf16", torch.bfloat16, None),
        ("nothing known", torch.bfloat16, None),
        ("flags\t: avx512_fp16", torch.float16, "float16 is slow"),
        ("flags\t: avx2", torch.float32, None),
    ],
)
def test_slow_precisions_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, dtype: torch.dtype, slow: str | None
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    monkeypatch.setattr(devices, "_PROCESSOR", tmp_path / "cpuinfo")
    told = slow_precision(torch.device("cpu"), dtype)
    assert (slow in told) if slow and told else told == slow
    assert slow_precision(torch.device("cuda"), dtype) is None
