"""Words that make no flags are answered in one sentence."""

import pytest

from hipp_prune.cli import main
from hipp_prune.cli.flags import misplaced
from hipp_prune.cli.verbs import VERBS


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "auto --model m --questions q --sparsity 0.3 --out o",
            "auto takes the model first, without --model; for ",
        ),
        (
            "auto m q.csv --out o",
            "auto needs --questions; for example `hipp-prune auto toy-llava --questions toyworld",
        ),
        ("auto m --question q --out o", "auto has no flag --question; did you mean --questions?"),
        ("auto", "auto needs a model before its flags, --questions, --out; for example `hipp-prune auto"),
        ("search --run r", "search takes the run directory first, without --run; for example"),
        ("ask --model c --image p", "ask takes the checkpoint first, without --model; for example"),
        (
            "evaluate smaller --questions q",
            "evaluate takes flags alone, found 'smaller' before them; for example",
        ),
        ("query run --sparcity=0.3", "query has no flag --sparcity; did you mean --sparsity?"),
        ("quickstart --zzz", "quickstart has no flag --zzz; `hipp-prune quickstart --help` lists its flags"),
        ("search run --s-max 1/2", "did you mean 0.5?"),
        (
            "query run --align-for tp2 marlim",
            "expected --align-for to be marlin or gptq or ",
        ),
        ("query run --align-for marlim", "found 'marlim'; did you mean marlin?"),
        ("search run --method=grp", "found 'grp'; did you mean grpo?"),
        (
            "questions pop --annotations a --images i --out o",
            "expected procedure to be pope, found 'pop'; did you",
        ),
        ("photo biuld --out o", "found 'biuld'; did you mean build?"),
        ("toy mak", "see `hipp-prune toy --help`"),
        ("calibrate --model m --out o --questions", "--questions needs a source of questions, e.g. toyworld"),
        ("report run other", "see `hipp-prune report --help`"),
    ],
)
def test_what_is_wrong_with_the_flags(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("hipp-prune: ")
    assert told in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_wrong_with_the_examples_of_the_help(verb: str) -> None:
    command = VERBS[verb].load()
    examples = " ".join((command.__doc__ or "").split()).partition("xample")[2].split("hipp-prune ")[1:]
    for example in examples:
        _, *words = example.rstrip("; ").split()
        assert misplaced(verb, command, words) is None
