"""Slow models are timed on fewer questions, and it is said on how many."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.evaluation import speed
from hipp_prune.evaluation.speed import FEWEST, count_within, measure_speedups
from hipp_prune.questions.question import Question
from tests.unit.questions.made import pope


class Clock:
    """Time that passes only while a question is answered."""

    now = 0.0
    passes = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Models are numbers: the seconds that each takes for a question."""
    clock = Clock()

    class Slow:
        def __init__(self, seconds: float, questions: list[Question], *, packed: bool) -> None:
            self.seconds = seconds * len(questions)
            assert not packed

        def prepare(self) -> None:
            """Takes no time."""

        def scores(self, _: None) -> None:
            clock.now += self.seconds
            clock.passes += 1

    monkeypatch.setattr(speed, "Evaluator", Slow)
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock.now)
    return clock


@pytest.mark.parametrize(
    ("seconds", "asked", "said"),
    [
        (0.01, 256, "speed: timed on 256 questions"),
        (2.0, 15, "speed: timed on 15 questions of 256, so that a round stays short"),
        (600.0, FEWEST, "speed: timed on 4 questions of 256, so that a round stays short"),
    ],
)
def test_a_round_takes_about_a_minute(
    seconds: float, asked: int, said: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="hipp_prune")
    questions = [pope(number, number % 2) for number in range(256)]
    dense, pruned = _models(seconds, seconds / 2)
    assert measure_speedups(dense, [pruned], questions, round_seconds=60.0) == pytest.approx([2.0])
    probed = 2 * FEWEST * seconds
    assert clock.now == pytest.approx(probed + 6 * asked * 1.5 * seconds)
    assert caplog.messages == [said]


def test_without_a_limit_every_question_is_timed(clock: Clock) -> None:
    dense, pruned = _models(2.0, 1.0)
    assert measure_speedups(dense, [pruned], [pope(number, 0) for number in range(3)], rounds=2) == [2.0]
    assert clock.passes == 6


def test_fewer_questions_than_are_tried_are_enough(clock: Clock) -> None:
    dense, pruned = _models(2.0, 1.0)
    assert measure_speedups(dense, [pruned], [pope(0, 0)], round_seconds=1.0) == [2.0]
    assert clock.passes == 14


@given(st.floats(0, 1e4), st.floats(1e-6, 1e6), st.integers(0, 10**6))
def test_more_time_never_asks_fewer(seconds: float, each: float, count: int) -> None:
    asked = count_within(seconds, each, count)
    assert min(count, FEWEST) <= asked <= count
    assert asked <= max(FEWEST, seconds / each)
    assert count_within(2 * seconds, each, count) >= asked


def _models(*seconds: float) -> Any:
    """What the fixture takes for models."""
    return seconds
