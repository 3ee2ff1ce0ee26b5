"""What is tried is like what will be done: of every benchmark its share; the first opening of a model apart."""

import os
from collections import Counter
from pathlib import Path

import pytest

from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.stages import probing
from tests.unit.questions.made import pope, scienceqa


def test_recovery_is_tried_on_the_questions_that_its_first_batches_ask() -> None:
    robust = [pope(n, n % 2, image=Path(f"p{n // 6}.png"), prompt=f"Is there {n}?") for n in range(600)]
    useful = [scienceqa(n, n % 3, image=Path(f"s{n}.png"), prompt=f"Which of {n}?") for n in range(100)]
    chosen = probing.first_batches([*robust, *useful], RecoverySettings(batch_size=30))
    asked = Counter(question.benchmark for question in chosen)
    assert asked["pope"] == pytest.approx(40, abs=3)
    assert asked["scienceqa"] == pytest.approx(20, abs=3)
    assert chosen == probing.first_batches([*robust, *useful], RecoverySettings(batch_size=30))


@pytest.mark.parametrize(
    ("clock", "usual", "first"),
    [((0.0, 1.0, 1.0, 1.25), 0.25, 0.75), ((0.0, 60.0), 60.0, 0.0), ((0.0, 1.0, 1.0, 3.0), 1.0, 0.0)],
)
def test_the_first_opening_is_told_from_later_ones(
    clock: tuple[float, ...], usual: float, first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(clock)
    monkeypatch.setattr(probing.time, "perf_counter", lambda: next(times))
    assert probing.opening(lambda: None) == (usual, first)


def test_reading_is_a_part_of_what_a_byte_takes_and_a_full_disk_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = 2**26
    monkeypatch.setattr(probing, "free_disk", lambda _: room)
    taken = list[int]()
    monkeypatch.setattr(probing.os, "fsync", lambda file: taken.append(os.fstat(file).st_size))
    byte, read = probing.byte_seconds(10**12)
    assert 0 < read < byte
    assert taken == [room // 2] * 2
