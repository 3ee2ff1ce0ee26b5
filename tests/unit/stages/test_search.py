"""When a search goes on, and when it is refused."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hipp_prune.errors import RunError
from hipp_prune.files.run_directory import RunDirectory, SearchFolder
from hipp_prune.files.writing import write_json
from hipp_prune.search.archive import Archive, Evaluation
from hipp_prune.search.record import Spent
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.pipeline import Pipeline
from hipp_prune.stages.search import evaluations_paid, read_search

SETTINGS = SearchSettings(evaluations=100)
SPENT = Spent(seconds=8.0, evaluations=100.0)


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return SearchFolder(tmp_path / "search", latency=tmp_path / "latency.json")


def _begin(folder: SearchFolder, **more: object) -> None:
    write_json(folder.record, {"settings": asdict(SETTINGS), "complete": bool(more), **more})


def test_nothing_is_spent_where_nothing_or_not_all_is_done(folder: SearchFolder) -> None:
    assert read_search(folder, SETTINGS, remedy="wait") is None
    _begin(folder)
    assert read_search(folder, SETTINGS, remedy="wait") is None


def test_a_complete_search_says_what_it_spent(folder: SearchFolder) -> None:
    _begin(folder, spent=asdict(SPENT))
    assert read_search(folder, SETTINGS, remedy="wait") == SPENT


def test_a_setting_that_was_new_since_is_as_usual(folder: SearchFolder) -> None:
    older = {name: value for name, value in asdict(SETTINGS).items() if name != "heads"}
    write_json(folder.record, {"settings": older, "complete": True, "spent": asdict(SPENT)})
    assert read_search(folder, SETTINGS, remedy="wait") == SPENT


def test_other_settings_are_refused_but_for_more_evaluations_where_a_search_may_grow(
    folder: SearchFolder,
) -> None:
    _begin(folder, spent=asdict(SPENT))
    more = replace(SETTINGS, evaluations=200)
    assert read_search(folder, more, remedy="wait", may_grow=True) == SPENT
    with pytest.raises(RunError, match=r"\(evaluations 100 → 200\).* or wait"):
        read_search(folder, more, remedy="wait")
    with pytest.raises(RunError, match=r"\(kappa 1\.0 → 2\.0\)"):
        read_search(folder, replace(more, kappa=2.0), remedy="wait", may_grow=True)
    with pytest.raises(RunError, match=r"\(evaluations 100 → 99\).* or wait"):
        read_search(folder, replace(SETTINGS, evaluations=99), remedy="wait", may_grow=True)


def test_what_is_paid_for_is_met_again_and_of_a_search_that_grows_random_plans_alone(
    folder: SearchFolder,
) -> None:
    assert evaluations_paid(folder, SETTINGS) == 0
    _begin(folder)
    archive = Archive(folder.archive)
    for number, source in enumerate(["warm-up", "surrogate", "policy"]):
        archive.add(
            Evaluation(
                kept=(number,), minibatch="one", robustness=0.0, utility=0.0, accuracies={}, questions=32, sparsity=0.3,
                source=source, seconds=1.0,
            )
        )  # fmt: skip
    assert evaluations_paid(folder, SETTINGS) == 3 * 32 / 64
    assert evaluations_paid(folder, replace(SETTINGS, evaluations=200)) == 32 / 64


@pytest.mark.parametrize(
    ("evaluations", "done", "state"),
    [(100, True, "finished"), (100, False, "begun"), (200, True, "grows"), (200, False, "grows")],
)
def test_a_pipelines_search_may_grow_but_not_shrink(
    evaluations: int, done: bool, state: str, tmp_path: Path
) -> None:
    pipeline = Pipeline(run=RunDirectory(tmp_path), model="toy-llava", questions=(), may_grow=True)
    folder = pipeline.run.search
    folder.root.mkdir()
    assert pipeline.check_search(SETTINGS) == "begun"
    _begin(folder, **({"spent": asdict(SPENT)} if done else {}))
    asked = replace(SETTINGS, evaluations=evaluations)
    assert pipeline.check_search(asked) == state
    for other in (replace(asked, evaluations=99), replace(asked, kappa=2.0)):
        with pytest.raises(RunError, match="was made with other settings"):
            pipeline.check_search(other)
        assert replace(pipeline, anew="changed").check_search(other) == "anew"
