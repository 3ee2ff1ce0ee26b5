"""Every number that a flag takes: in its declared range, or refused in one sentence before any work."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Ge, Gt, Le, Lt

from hipp_prune.cli.entry import main, parse
from hipp_prune.cli.verbs import VERBS
from hipp_prune.errors import InputError

VALUES = ("0", "-1", "nan", "inf", "-inf", "1e300", "1" + 60 * "0", "0.5")

REQUIRED = {
    "calibrate": ["--model", "m", "--questions", "toyworld", "--out", "o"],
    "search": ["run"],
    "query": ["run"],
    "prune": ["--out", "o"],
    "recover": ["ckpt", "--out", "o", "--questions", "toyworld"],
    "evaluate": ["--questions", "toyworld"],
    "baseline": ["--method", "flap", "--sparsity", "0.2", "--out", "o"],
    "export": ["ckpt", "--format", "gguf", "--out", "o"],
    "push": ["ckpt", "me/it"],
    "compare": ["--out", "o"],
    "bench-search": ["--out", "o"],
    "paper": ["--out", "o", "--results", "r"],
    "report": ["run"],
    "toy make": ["--out", "o"],
    "toy train": ["--model", "toy-llava", "--out", "o"],
}
"""The flags without which a verb does not parse."""


class Flag(NamedTuple):
    """A flag that takes numbers."""

    verb: str
    name: str
    kind: type
    """int or float."""
    limits: tuple[object, ...]

    def allows(self, text: str) -> bool:
        """Whether a value is one of its kind, and in its range."""
        with suppress(ValueError):
            value = self.kind(text)
            return all(
                (not isinstance(limit, Ge) or value >= limit.ge)
                and (not isinstance(limit, Gt) or value > limit.gt)
                and (not isinstance(limit, Le) or value <= limit.le)
                and (not isinstance(limit, Lt) or value < limit.lt)
                for limit in self.limits
            )
        return False


def _classes() -> Iterator[tuple[str, type]]:
    for name, verb in VERBS.items():
        if name == "toy":
            from hipp_prune.experiments.toy.verb import ToyMake, ToyTrain

            yield from (("toy make", ToyMake), ("toy train", ToyTrain))
        else:
            yield name, verb.load()


def _flags(verb: str, settings: type) -> Iterator[Flag]:
    hints = get_type_hints(settings, include_extras=True)
    for field in fields(settings):
        hint = hints[field.name]
        if is_dataclass(hint):
            yield from _flags(verb, hint)  # type: ignore[arg-type]
        elif "Suppress" not in str(hint) and (number := _number(hint)) is not None:
            yield Flag(verb, f"--{field.name.replace('_', '-')}", *number)


def _number(hint: Any, limits: tuple[object, ...] = ()) -> tuple[type, tuple[object, ...]] | None:
    """The number that an annotation is, is made of, or may be, and its limits."""
    if hint in (int, float):
        return hint, limits
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        return _number(inner, (*limits, *metadata))
    return next((found for part in get_args(hint) if (found := _number(part)) is not None), None)


FLAGS = sorted(
    {flag.verb + flag.name: flag for verb, kind in _classes() for flag in _flags(verb, kind)}.values()
)


def test_every_flag_that_takes_numbers_is_here() -> None:
    names = {(flag.verb, flag.name) for flag in FLAGS}
    expected = {
        ("calibrate", "--batch-size"),
        ("search", "--kappa"),
        ("query", "--align"),
        ("compare", "--lora-rank"),
    }
    expected |= {
        ("paper", "--minutes"),
        ("quickstart", "--limit"),
        ("evaluate", "--seed"),
        ("prune", "--sparsity"),
    }
    expected |= {("baseline", "--sparsity"), ("bench-search", "--budgets"), ("toy train", "--seed")}
    assert expected <= names
    assert len(names) > 150


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: f"{flag.verb} {flag.name}")
def test_every_flag_declares_a_range(flag: Flag) -> None:
    if (flag.verb, flag.name) != ("paper", "--budgets"):  # its range is that of the settings it becomes
        assert any(isinstance(limit, Ge | Gt) for limit in flag.limits), "no lower limit"
        assert any(isinstance(limit, Le | Lt) for limit in flag.limits), "no upper limit"


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: f"{flag.verb} {flag.name}")
def test_a_number_is_in_its_range_or_refused_in_one_sentence(
    flag: Flag, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*flag.verb.split(), *REQUIRED.get(flag.verb, []), f"{flag.name}={value}"]
    if flag.verb == "paper" and flag.name == "--budgets":
        pytest.skip("told with --models; see below")
    try:
        parse(words)
    except InputError as error:
        sentence = str(error)
        assert "\n" not in sentence
        assert flag.name in sentence or flag.name[2:].replace("-", "_") in sentence, sentence
    except SystemExit as end:  # no number of that kind
        said = capsys.readouterr().err
        assert end.code == 2
        assert flag.name in said
    else:
        assert flag.allows(value), f"{value} was accepted"
