"""``hipp_prune.auto``: what it makes of its arguments, and what it refuses; ``tests/e2e`` has it done."""

from pathlib import Path
from typing import Any

import pytest

import hipp_prune
from hipp_prune.errors import HippPruneError
from hipp_prune.search.query.requirements import Requirement
from hipp_prune.stages.settings import AutoSettings, QuerySettings
from hipp_prune.stages.wish import Wish


def test_arguments_make_the_wish_that_flags_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wished: list[Wish] = []
    monkeypatch.setattr("hipp_prune.stages.one_call.auto", lambda wish, **_: wished.append(wish))
    settings = AutoSettings(count=9)
    hipp_prune.auto(
        tmp_path, questions=["a.csv"], out="small", fit="1MB", require={"pope": 0.8}, settings=settings
    )
    (wish,) = wished
    assert wish == Wish(
        model=str(tmp_path),
        questions=("a.csv",),
        out=Path("small"),
        run=Path("small-run"),
        requirements=(Requirement.parse("pope=0.8"),),
        target=QuerySettings(fit="1MB"),
        settings=settings,
    )
    assert wish.asked == ("a.csv,count=9",)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"model": object()}, r"a object in memory; .* hipp_prune\.prune\(model, processor"),
        ({"questions": "toyworld"}, r"a list of sources, found 'toyworld'; write \['toyworld'\]"),
        ({}, "auto needs a target"),
        ({"sparsity": 0.3, "preference": "1,1"}, "1,1"),
        ({"sparsity": 0.3, "fit": "1MB"}, "leave out one of the two"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"model": "toy-llava", "questions": ["toyworld"], "out": tmp_path / "out"}
    with pytest.raises(HippPruneError, match=told):
        hipp_prune.auto(**(given | changed))
    assert not list(tmp_path.iterdir())
