"""Threads follow the model and the machine, unless the user has decided; and it is said where a model is."""

import logging

import pytest
import torch

from hipp_prune.stages import loading
from hipp_prune.stages.loading import load, set_threads
from hipp_prune.stages.settings import LoadSettings

SMALL, LARGE = 10**5, 10**9


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What torch was told, last; torch itself is left alone, and no user has decided anything."""
    told = [8]
    for name in loading._THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: told[-1])
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    monkeypatch.setattr(loading, "_at_first", 8)
    monkeypatch.setattr(loading, "_chosen", 8)
    monkeypatch.setattr(loading, "usable_cpus", lambda: 4)
    return told


def test_threads_follow_model_and_machine(threads: list[int]) -> None:
    for parameters, expected in ((SMALL, 1), (LARGE, 4), (SMALL, 1)):
        set_threads(parameters)
        assert threads[-1] == expected


def test_a_user_who_has_decided_is_right(threads: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    threads.append(3)
    set_threads(LARGE)
    assert threads == [8, 3]
    threads.append(8)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    set_threads(SMALL)
    assert threads == [8, 3, 8]


def test_threads_are_never_more_than_torch_would_take(
    threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "usable_cpus", lambda: 64)
    set_threads(LARGE)
    assert threads[-1] == 8


def test_the_device_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    loading._say.cache_clear()
    with caplog.at_level(logging.INFO, logger="hipp_prune"):
        load("toy-llava", LoadSettings(device="cpu"))
        load("toy-llava", LoadSettings(device="cpu"))
    assert [record.message.partition(" (")[0] for record in caplog.records] == ["device: cpu"]


def test_a_slow_precision_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    loading._say.cache_clear()
    with caplog.at_level(logging.WARNING, logger="hipp_prune"):
        for _ in range(2):
            load("toy-llava", LoadSettings(device="cpu", dtype="float16"))
    (warning,) = caplog.records
    assert "float16 is slow on a processor; add --dtype bfloat16" in warning.message
