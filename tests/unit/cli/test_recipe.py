"""A recipe is the command line in a file: the same flags, the same refusals."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.cli.auto import Auto
from hipp_prune.cli.entry import main, parse
from hipp_prune.files.recipes import parse_recipe, recipe_text

WORDS = ["auto", "toy-llava", "--questions", "toyworld", "pope:a b", "--out", "smaller"]
FLAGS = [
    ["--sparsity", "0.3"],
    ["--fit", "8GB", "--context", "4096", "--batch", "2", "--recover", "--align", "8"],
    [
        "--speed",
        "1.3",
        "--preference",
        "2,1,1",
        "--evaluations",
        "9",
        "--limit",
        "5",
        "--batch-size",
        "3",
        "--uniform",
    ],
    ["--require", "pope=0.85", "--require", "sparsity=0.123", "--run", "my run", "--trust-remote-code"],
]


def parsed(words: list[str]) -> Auto:
    command = parse(words)
    assert isinstance(command, Auto)
    return command


@pytest.mark.parametrize("flags", FLAGS)
def test_the_resolved_recipe_means_the_same(flags: list[str], tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    wish = parsed([*WORDS, *flags]).wish
    recipe.write_text(recipe_text(wish.recipe))
    again = parsed(["auto", "--recipe", str(recipe)]).wish
    assert again == wish
    assert again.recipe == wish.recipe


def test_own_flags_override(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'model = "a"\nquestions = ["toyworld"]\nout = "x"\nsparsity = 0.3\nrequire = ["pope=0.8"]\nrecover = true\n'
    )
    read = parsed(["auto", "--recipe", str(recipe)])
    assert (read.model, read.questions, read.out, read.settings.recover) == (
        "a",
        ("toyworld",),
        Path("x"),
        True,
    )
    mine = parsed(
        ["auto", "b", "--recipe", str(recipe), "--sparsity=0.5", "--require", "pope=0.9", "--out", "y"]
    )
    assert (mine.model, mine.target.sparsity, mine.require, mine.out) == ("b", 0.5, ("pope=0.9",), Path("y"))
    assert replace(mine, model="a", target=read.target, require=read.require, out=read.out) == read


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sparsty = 0.3", "'sparsty'; did you mean sparsity?"),
        ("batch_size = 3", "'batch_size'; did you mean batch-size?"),
        ("force = true", "'force'"),
        ("kappa = 1", "a recipe may have model, questions"),
        ('evaluations = "400"', "expected field 'evaluations' to be an integer"),
        ("recover = 1", "expected field 'recover' to be true or false"),
        ("sparsity = nan", "finite"),
        ("out = 1979-05-27", "no date"),
        ("[search]\nseed = 1", "found 'search'"),
        ("[seed]\nvalue = 1", "found a table"),
        ("seed = ", "expected TOML, found an error"),
        ("seed = 1\nseed = 2", "expected TOML, found an error"),
        # the same sentences as of flags
        ("evaluations = 0", "expected --evaluations to be at least 1, found 0"),
        ("sparsity = 30", "expected --sparsity to be at most 1, found 30.0"),
        ('fit = "8gb"', "expected --fit to be a size"),
    ],
)
def test_a_recipe_is_read_strictly(
    line: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "run.toml"
    recipe.write_text(f'questions = ["toyworld"]\n{line}\n')
    assert main(["auto", "toy-llava", "--out", str(tmp_path / "x"), "--recipe", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_a_recipe_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--recipe", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}(-[a-z]{1,5})?", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"]))
        | st.integers(-(2**62), 2**62)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.booleans()
        | st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
    )
)
def test_what_is_written_is_read(flags: dict[str, object]) -> None:
    assert parse_recipe(recipe_text(flags), where="here") == flags
