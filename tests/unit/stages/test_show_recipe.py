"""A recipe is shown: what it asks for, and the command that makes it or shows what was made."""

from pathlib import Path

import pytest

from hipp_prune.errors import InputError
from hipp_prune.stages.show import show

TEXT = """model = "toy-llava"
questions = ["mine.csv", "toyworld"]
out = "smaller"
sparsity = 0.3
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(TEXT)
    return Path("run.toml")


def test_what_is_yet_to_be_made_what_was_cut_off_and_what_is_there(recipe: Path) -> None:
    shown = show(str(recipe))
    assert shown.what == "a recipe"
    assert ("questions", "mine.csv toyworld") in shown.facts
    assert shown.next == ("hipp-prune auto --recipe run.toml",)
    Path("smaller").mkdir()
    assert show(str(recipe)).next == ("hipp-prune show smaller",)
    Path("smaller-run").mkdir()
    Path("smaller-run/recipe.toml").write_text(TEXT)
    assert show(str(recipe)).next == ("hipp-prune auto --recipe run.toml",)


def test_what_it_lacks_is_said_and_what_is_none_is_refused(recipe: Path) -> None:
    recipe.write_text("sparsity = 0.3\nout = 'smaller'\n")
    assert ("lacks", "model, questions; give that beside it") in show(str(recipe)).facts
    for text in ("[project]\nout = 1\n", "name = 'x'\n"):
        recipe.write_text(text)
        with pytest.raises(
            InputError, match=r"expected a recipe of auto, but run\.toml is a file; give a run"
        ):
            show(str(recipe))
