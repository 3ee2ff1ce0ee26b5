from typing import Any

import pytest

from hipp_prune.errors import InputError
from hipp_prune.plans.preference import Preference
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.recovery.training import rise_and_fall


@pytest.mark.parametrize(
    ("mixture", "preference", "share"),
    [
        ("biased", None, 2 / 3),
        ("0.25", None, 0.25),
        ("plan", "3,1,4", 0.75),
        ("plan", "0,1,0", 0.0),
        ("plan", "0,0,1", 0.5),
    ],
)
def test_the_mixture_is_biased_fixed_or_follows_the_plan(mixture: str, preference: str | None, share: float):
    point = None if preference is None else Preference.parse(preference)
    assert RecoverySettings(mixture=mixture).robust_share(point) == pytest.approx(share)


def test_a_mixture_that_follows_no_preference_is_refused():
    with pytest.raises(InputError, match="biased"):
        RecoverySettings(mixture="plan").robust_share(None)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mixture": "two to one"}, "--mixture"),
        ({"mixture": "1.5"}, "--mixture"),
        ({"steps": 0}, "--steps"),
        ({"lora_rate": -1.0}, "--lora-rate"),
        ({"warm_up": 2.0}, "--warm-up"),
        ({"hinge": float("nan")}, "--hinge"),
        ({"head": False, "norm": False, "projector": False, "lora_blocks": 0}, "nothing"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, Any], named: str):
    with pytest.raises(InputError, match=named):
        RecoverySettings(**settings)


def test_the_rate_rises_then_falls_and_is_never_zero():
    config = RecoverySettings(steps=100, warm_up=0.1)
    factors = [rise_and_fall(step, config) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == factors[10] == 1
    assert factors[99] == pytest.approx(1 / 90)
    assert rise_and_fall(0, RecoverySettings(steps=1, warm_up=0)) == 1
