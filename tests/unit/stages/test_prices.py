"""The arithmetic of an outlook: more work costs more, and nothing is free."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.models.described import ModelSizes
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.prices import (
    Memory,
    Price,
    calibrate_price,
    evaluate_price,
    latency_price,
    prune_price,
    recover_price,
    search_price,
    speed_price,
)
from hipp_prune.stages.rates import Amount, Lengths, Machine, Rates, computed_rates, question_flops
from hipp_prune.stages.settings import CalibrateSettings

SIZES = ModelSizes(
    family="llava", num_blocks=4, hidden_size=64, neurons=256, parameters=10**6, language_parameters=8 * 10**5,
    mlp_weights=196_608, block_weights=262_144, head_weights=64_000, vision_weights=10**5, query_width=64,
    patches_a_token=1, number_bytes=2,
)  # fmt: skip
LENGTHS = Lengths(picture=100, text=20.0)
RATES = Rates(
    first=0.5,
    load=1.0,
    trial=2.0,
    picture=0.1,
    observed=0.2,
    taylor=0.5,
    searched=0.05,
    evaluated=0.07,
    timed=0.1,
    answered=0.4,
    looked=2.0,
    step=None,
    shown=None,
    byte=1e-9,
    read=1e-9,
    weighed=1e-9,
    product=1e-10,
    products=0.5,
    full=2.0,
)
MEMORY = Memory(sizes=SIZES, lengths=LENGTHS, on_gpu=False)


def all_prices(rates: Rates, memory: Memory, asked: Amount) -> list[Price]:
    return [
        calibrate_price(rates, memory, asked, CalibrateSettings(), 1.0, asked),
        search_price(rates, memory, asked, SearchSettings(), 1.0, 10**9),
        prune_price(rates, memory, 0.3, asked, "sequential"),
        latency_price(rates, memory, 64),
        speed_price(rates, memory, asked, 0.3),
        recover_price(rates, memory, asked, RecoverySettings(), 1.0),
        evaluate_price(rates, memory, asked, 64, 1.0),
    ]


@given(st.integers(1, 5000), st.integers(1, 500), st.integers(0, 100))
def test_more_questions_never_cost_less(questions: int, pictures: int, more: int) -> None:
    few, many = (Amount(questions=questions + each, pictures=pictures + each) for each in (0, more))
    pairs = zip(all_prices(RATES, MEMORY, few), all_prices(RATES, MEMORY, many), strict=True)
    for less, dearer in pairs:
        assert 0 < less.seconds <= dearer.seconds
        assert less.disk_bytes <= dearer.disk_bytes


@pytest.mark.parametrize("name", [field.name for field in fields(Rates)])
def test_every_rate_counts_somewhere(name: str) -> None:
    asked = Amount(questions=100, pictures=10)
    measured = replace(RATES, **{name: 0.5}) if name in ("step", "shown") else RATES
    slower = replace(measured, **{name: 2 * getattr(measured, name)})
    before, after = (sum(p.seconds for p in all_prices(rates, MEMORY, asked)) for rates in (measured, slower))
    assert after < before if name == "products" else after > before


@given(st.floats(1, 1000), st.floats(1, 1000))
def test_longer_questions_take_longer(tokens: float, more: float) -> None:
    assert question_flops(SIZES, tokens + more) > question_flops(SIZES, tokens)


def test_a_faster_machine_is_faster() -> None:
    slow, fast = (
        computed_rates(
            SIZES,
            LENGTHS,
            Machine(speed=speed, full_speed=speed, thin_speed=speed / 10, byte=1e-9, read=1e-9, weighed=1e-9),
            per_image=6,
            per_picture=6.0,
        )
        for speed in (1e9, 1e12)
    )
    for name in ("picture", "observed", "taylor", "searched", "evaluated", "trial", "answered", "looked"):
        assert getattr(fast, name) < getattr(slow, name)


def test_every_picture_of_a_question_counts() -> None:
    one, two = (replace(LENGTHS, pictures=number) for number in (1.0, 2.0))
    machine = Machine(speed=1e9, full_speed=1e9, thin_speed=1e9, byte=1e-9, read=1e-9, weighed=1e-9)
    rates = [computed_rates(SIZES, each, machine, per_image=6, per_picture=1.0) for each in (one, two)]
    for name in ("observed", "taylor", "searched", "evaluated", "timed"):
        assert getattr(rates[1], name) > getattr(rates[0], name)
    assert rates[1].picture == rates[0].picture
    rooms = [replace(MEMORY, lengths=each) for each in (one, two)]
    assert rooms[1].activations(8) > rooms[0].activations(8)
    assert rooms[1].feature_bytes == rooms[0].feature_bytes
    assert Amount(questions=12, pictures=4, together=2).per_picture == 6


def test_a_search_takes_at_most_its_minutes() -> None:
    asked = Amount(questions=100, pictures=0)
    settings = SearchSettings(minutes=1.0)
    price = search_price(replace(RATES, learnt=0.0, weighed=0.0), MEMORY, asked, settings, 0.0, 10**9)
    assert price.seconds == pytest.approx(60 + RATES.load)


def test_what_is_paid_for_is_learnt_from_again_but_not_asked() -> None:
    asked, settings = Amount(questions=100, pictures=0), SearchSettings(evaluations=400)
    whole, grown, replayed = (
        search_price(replace(RATES, weighed=0.0), MEMORY, asked, settings, 0.0, 10**9, paid)
        for paid in (0.0, 100.0, 400.0)
    )
    assert grown.seconds - replayed.seconds == pytest.approx(0.75 * (whole.seconds - replayed.seconds))
    assert replayed.seconds == pytest.approx(RATES.load + 400 * RATES.learnt)


def test_questions_that_have_their_answers_are_not_answered() -> None:
    asked, none = Amount(questions=100, pictures=10), Amount(questions=0, pictures=0)
    labelled, unlabelled = (
        calibrate_price(RATES, MEMORY, asked, CalibrateSettings(), 1.0, each) for each in (none, asked)
    )
    assert unlabelled.seconds - labelled.seconds == pytest.approx(100 * RATES.answered + 10 * RATES.looked)


def test_on_a_gpu_the_model_is_in_its_memory() -> None:
    asked = Amount(questions=100, pictures=10)
    here, there = (all_prices(RATES, replace(MEMORY, on_gpu=gpu), asked) for gpu in (False, True))
    for cpu, gpu in zip(here, there, strict=True):
        assert cpu.gpu_bytes == 0
        assert gpu.cpu_bytes <= cpu.cpu_bytes
    assert there[0].gpu_bytes > SIZES.bytes


def test_pictures_beyond_the_memory_lie_on_the_disk() -> None:
    asked = Amount(questions=100, pictures=10)
    inside, outside = (search_price(RATES, MEMORY, asked, SearchSettings(), 0.0, room) for room in (10**9, 0))
    assert inside.disk_bytes == 0
    assert outside.disk_bytes == 10 * MEMORY.feature_bytes
    assert outside.cpu_bytes < inside.cpu_bytes


def test_fitting_wide_blocks_costs_more_than_copying_them() -> None:
    asked = Amount(questions=100, pictures=10)
    copied, fitted = (prune_price(RATES, MEMORY, 0.3, asked, mode) for mode in ("none", "sequential"))
    assert fitted.seconds > copied.seconds + 100 * RATES.observed
    assert (copied.questions, fitted.questions) == (0, 100)


def test_narrower_blocks_save_only_what_products_take() -> None:
    assert replace(RATES, products=0.0).left(SIZES, 0.5) == 1
    assert replace(RATES, products=1.0).left(SIZES, 0.5) == 1 - 0.5 * SIZES.mlp_share
