"""Every number that a flag takes: in its declared range, or refused in one sentence before any work."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Ge, Gt, Le, Lt

from hipp_prune.cli.entry import main, parse
from hipp_prune.cli.verbs import VERBS
from hipp_prune.errors import InputError

VALUES = {
    int: ("0", "-1", "1e300", "1" + 60 * "0", "1" + 400 * "0"),
    float: ("", "0", "-1", "nan", "inf", "1e300", "-1e300"),
}
"""At the ends of ranges and far beyond, by what a flag takes."""

REQUIRED = {
    "auto": ["m", "--questions", "toyworld", "--out", "o"],
    "calibrate": ["--model", "m", "--questions", "toyworld", "--out", "o"],
    "search": ["run"],
    "query": ["run"],
    "questions": ["pope", "--annotations", "objects.json", "--images", "images", "--out", "polls"],
    "prune": ["--out", "o"],
    "recover": ["ckpt", "--out", "o", "--questions", "toyworld"],
    "evaluate": ["--questions", "toyworld"],
    "ask": ["ckpt", "?", "--image", "i.png"],
    "baseline": ["--method", "flap", "--sparsity", "0.2", "--out", "o"],
    "export": ["ckpt", "--format", "gguf", "--out", "o"],
    "push": ["ckpt", "me/it"],
    "compare": ["--out", "o"],
    "bench-search": ["--out", "o"],
    "damage": ["--model", "m", "--questions", "toyworld", "--out", "o"],
    "paper": ["--out", "o", "--results", "r"],
    "photo": ["build", "--out", "o"],
    "report": ["run"],
    "toy make": ["--out", "o"],
    "toy train": ["--model", "toy-llava", "--out", "o"],
}
"""The flags without which a verb does not parse."""


class Flag(NamedTuple):
    """A flag that takes numbers."""

    verb: str
    owner: type
    """The class that declares it."""
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
            yield Flag(verb, settings, f"--{field.name.replace('_', '-')}", *number)


def _number(hint: Any, limits: tuple[object, ...] = ()) -> tuple[type, tuple[object, ...]] | None:
    """The number that an annotation is, is made of, or may be, and its limits."""
    if hint in (int, float):
        return hint, limits
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        return _number(inner, (*limits, *metadata))
    return next((found for part in get_args(hint) if (found := _number(part)) is not None), None)


FLAGS = [flag for verb, settings in _classes() for flag in _flags(verb, settings)]
DECLARED = list({(flag.owner, flag.name): flag for flag in reversed(FLAGS)}.values())
"""Each flag once, at the first verb of those that share the class which declares it."""


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
    assert len(names) > 130


@pytest.mark.parametrize("flag", DECLARED, ids=lambda flag: f"{flag.verb} {flag.name}")
def test_every_flag_declares_a_range(flag: Flag) -> None:
    if (flag.verb, flag.name) != ("paper", "--budgets"):  # its range is that of the settings it becomes
        assert any(isinstance(limit, Ge | Gt) for limit in flag.limits), "no lower limit"
        assert any(isinstance(limit, Le | Lt) for limit in flag.limits), "no upper limit"


@pytest.mark.parametrize("flag", DECLARED, ids=lambda flag: f"{flag.verb} {flag.name}")
def test_a_number_is_in_its_range_or_refused_in_one_sentence(flag: Flag) -> None:
    for value in VALUES[flag.kind]:
        try:
            parse([*flag.verb.split(), *REQUIRED.get(flag.verb, []), f"{flag.name}={value}"])
        except InputError as error:
            said = str(error)
            assert "\n" not in said
            assert flag.name in said or flag.name[2:].replace("-", "_") in said, said
        else:
            assert flag.allows(value), f"{value} was accepted"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("query run --sparsity 50", "expected --sparsity to be at most 1, found 50.0; did you mean 0.5?"),
        ("search run --s-max 50", "expected --s-max to be at most 1, found 50.0; did you mean 0.5?"),
        (
            "baseline --method flap --sparsity 0.2 --out o --r-max 80",
            "expected --r-max to be below 1, found 80.0; did you mean 0.8?",
        ),
        ("query run --sparsity 50%", "expected --sparsity to be a number, found '50%'; did you mean 0.5?"),
        ("query run --sparsity=50%", "expected --sparsity to be a number, found '50%'; did you mean 0.5?"),
        (
            "query run --sparsity 22,5 %",
            "expected --sparsity to be a number, found '22,5%'; did you mean 0.225?",
        ),
        ("search run --s_max=0,5", "expected --s-max to be a number, found '0,5'; did you mean 0.5?"),
        ("search run --s-max 1/2", "expected --s-max to be a number, found '1/2'; did you mean 0.5?"),
        ("search run --s-max 150%", "expected --s-max to be a number, found '150%'; correct it"),
        ("search run --s-max=", "expected --s-max to be a number, found ''; correct it"),
        ("search run --s-max half", "expected --s-max to be a number, found 'half'; correct it"),
        (
            "compare --out o --budgets 0.2 50%",
            "expected --budgets to be a number, found '50%'; did you mean 0.5?",
        ),
        (
            "search run --evaluations 1e3",
            "expected --evaluations to be an integer, found '1e3'; did you mean 1000?",
        ),
        (
            "toy train --model toy-llava --out o --seed 1,5",
            "expected --seed to be an integer, found '1,5'; correct it",
        ),
        ("quickstart --limit 1,000", "expected --limit to be an integer, found '1,000'; did you mean 1000?"),
        ("quickstart --limit 2.5", "expected --limit to be an integer, found '2.5'; correct it"),
        ("query run --align 0", "expected --align to be at least 1, found 0; correct it"),
        ("search run --minutes -3", "expected --minutes to be above 0, found -3.0; correct it"),
        (
            "search run --image-memory nan",
            "expected --image-memory to be a finite number, found nan; correct it",
        ),
        (
            "evaluate --questions toyworld --limit -1",
            "expected --limit to be at least 1, found -1; correct it",
        ),
        (
            "paper --out o --results r --budgets 50",
            "--budgets are those of --models, and none is named; name models, or leave both out",
        ),
        (
            "paper --out o --results r --models m --budgets 50",
            "expected --budgets.m[0] to be at most 1, found 50.0; did you mean 0.5?",
        ),
        (
            "compare --out o --s-min 0.6",
            "a search needs 0 ≤ s_min ≤ s_max ≤ r_max < 1, got s_min = 0.6, s_max = 0.5, r_max = 0.8",
        ),
        (
            "compare --out o --seed 3",
            "every recovery of a comparison has its cell's seed, got --seed 3; leave it out",
        ),
    ],
)
def test_the_sentence(line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert capsys.readouterr().err == f"hipp-prune: {sentence}\n"
