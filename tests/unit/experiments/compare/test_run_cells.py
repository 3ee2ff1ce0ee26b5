"""A comparison that goes on where it was stopped, and refuses to mix settings."""

from dataclasses import replace
from pathlib import Path

import pytest

from hipp_prune.errors import (
    IncompleteRunError,
    InputError,
    OutputExistsError,
    RunError,
    UnsupportedModelError,
)
from hipp_prune.experiments.compare import run
from hipp_prune.experiments.compare.cells import CalibrationJob, Cell, Contender, SearchJob, schedule
from hipp_prune.experiments.compare.run import claim, read_settings, run_cells
from hipp_prune.experiments.compare.settings import DEFAULT_SETTINGS, CompareSettings
from hipp_prune.experiments.compare.worker import finished_search, search_folder
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.recovery.settings import RecoverySettings
from tests.tiny import FAMILIES
from tests.unit.experiments.compare.made import answers, cell_result

SETTINGS = CompareSettings(limit=20, recovery=RecoverySettings(steps=3))


def test_settings_are_read_as_they_were_claimed(tmp_path: Path) -> None:
    claim(tmp_path, SETTINGS)
    assert read_settings(tmp_path) == SETTINGS
    claim(tmp_path, SETTINGS)


def test_a_folder_of_other_settings_is_refused_but_for_how_often_a_recovery_saves(tmp_path: Path) -> None:
    claim(tmp_path, SETTINGS)
    claim(tmp_path, replace(SETTINGS, recovery=replace(SETTINGS.recovery, save_every=7)))
    with pytest.raises(
        RunError, match=r"compare\.json was made with other settings \(recovery\.steps 3 → 4\)"
    ):
        claim(tmp_path, replace(SETTINGS, recovery=replace(SETTINGS.recovery, steps=4)))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"limit": 0}, "expected field 'limit' to be at least 1, found 0"),
        ({"colour": "blue"}, "expected no field 'colour'"),
        ({"recovery.steps": "3"}, r"expected field 'recovery\.steps' to be an integer, found '3'"),
        ({"questions": 3}, "expected field 'questions' to be a list, found 3"),
    ],
)
def test_settings_are_what_they_are_declared_to_be(
    changes: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    claim(tmp_path, SETTINGS)
    write_json(tmp_path / "compare.json", {**run._flat(SETTINGS), **changes})
    with pytest.raises(IncompleteRunError, match=rf"compare\.json: {complaint}.*; give the folder"):
        claim(tmp_path, SETTINGS)


def test_a_setting_that_is_newer_than_the_comparison_had_its_default(tmp_path: Path) -> None:
    settings = replace(SETTINGS, recovery=replace(DEFAULT_SETTINGS.recovery))
    older = {name: value for name, value in run._flat(settings).items() if name != "recovery.steps"}
    write_json(tmp_path / "compare.json", older)
    assert read_settings(tmp_path) == settings


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "thesis.tex", "…")
    with pytest.raises(OutputExistsError, match=r"no compare\.json"):
        claim(tmp_path, SETTINGS)


def test_questions_that_have_changed_are_refused(tmp_path: Path) -> None:
    run._claim_questions(tmp_path, [])
    write_json(tmp_path / "questions.json", {"number": 3, "digest": "0"})
    with pytest.raises(RunError, match=r"questions\.json .* \(digest '0' → '.*', number 3 → 0\)"):
        run._claim_questions(tmp_path, [])


def test_a_cell_is_finished_when_it_was_done_with_the_same_settings(tmp_path: Path) -> None:
    cell = Cell(model="a", contender=Contender(method="flap"), budget=0.5, preference=None, seed=2)
    assert run._finished(cell, tmp_path, SETTINGS) is None
    done = cell_result("flap", seed=2, after=answers([1.0], [1.0], [1.0]))
    told = SETTINGS.told(cell.contender, 2)
    older = {name: value for name, value in told.items() if name != "element"}  # a setting that was new since
    replace(done, cell=cell, settings=older).save(tmp_path)
    assert run._finished(cell, tmp_path, SETTINGS) == 5.5
    other = replace(cell, contender=Contender(method="flap", overrides={"r_max": 0.9}))
    with pytest.raises(RunError, match=r"r_max 0\.8 → 0\.9"):
        run._finished(other, tmp_path, SETTINGS)


def test_a_search_goes_on_only_with_the_settings_it_was_begun_with(tmp_path: Path) -> None:
    job = SearchJob(model="a", contender=Contender(method="hybrid"), seed=1)
    assert run._finished(job, tmp_path, SETTINGS) is None
    settings = SETTINGS.search_settings(job.contender, 1)
    record = search_folder(job, tmp_path).record
    write_json(record, {"settings": vars(settings), "complete": False})
    assert finished_search(job, tmp_path, SETTINGS) is None
    assert run._finished(job, tmp_path, SETTINGS) is None
    other = replace(job, contender=Contender(method="hybrid", overrides={"kappa": 2.0}))
    write_json(search_folder(other, tmp_path).record, {"settings": vars(settings), "complete": False})
    with pytest.raises(RunError, match=r"kappa 1\.0 → 2\.0"):
        finished_search(other, tmp_path, SETTINGS)
    spent = {"seconds": 8.0, "evaluations": 500.0}
    write_json(record, {"settings": vars(settings), "spent": spent, "complete": True})
    assert run._finished(job, tmp_path, SETTINGS) == 8.0


def test_a_budget_that_is_not_searched_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    cells = schedule(["toy-llava"], [Contender(method="hybrid")], [0.7], [0])
    with pytest.raises(
        InputError, match=r"searches sparsities in \[0\.1, 0\.5\], which the budget 0\.7 is not in"
    ):
        run_cells(tmp_path / "out", cells, DEFAULT_SETTINGS, say=print)
    assert not (tmp_path / "out").exists()


def test_a_method_that_a_family_cannot_do_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    folder = FAMILIES["qwen3_vl"](tmp_path)
    for path in folder.glob("*.safetensors"):
        path.write_bytes(b"no weights")
    cells = schedule([str(folder)], [Contender(method="flap"), Contender(method="slicegpt")], [0.2], [0])
    with pytest.raises(UnsupportedModelError, match="Qwen3-VL cannot do slicegpt: "):
        run_cells(tmp_path / "out", cells, DEFAULT_SETTINGS, say=print)
    assert not (tmp_path / "out").exists()


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    cells = schedule(["a/vlm", "b/vlm"], [Contender(method="flap")], [0.2], [0])
    with pytest.raises(InputError, match="two models are called vlm: a/vlm and b/vlm"):
        run_cells(tmp_path / "out", cells, DEFAULT_SETTINGS, say=print)


def test_a_calibration_is_finished_when_what_is_asked_of_it_is_there(tmp_path: Path) -> None:
    plain, gathering = (CalibrationJob(model="a", seed=1, grams=grams) for grams in (False, True))
    write_text(plain.path(tmp_path), "…")
    assert run._finished(plain, tmp_path, SETTINGS) == 0.0
    assert run._finished(gathering, tmp_path, SETTINGS) is None
    write_text(gathering.grams_path(tmp_path), "…")
    assert run._finished(gathering, tmp_path, SETTINGS) == 0.0


def test_a_cell_of_one_way_to_compensate_is_not_that_of_another(tmp_path: Path) -> None:
    cell = Cell(model="a", contender=Contender(method="flap"), budget=0.5, preference=None, seed=2)
    done = cell_result("flap", seed=2, after=answers([1.0], [1.0], [1.0]))
    replace(done, cell=cell, settings=SETTINGS.told(cell.contender, 2)).save(tmp_path)
    fitted = replace(cell, contender=Contender(method="flap", compensation="ridge"))
    assert run._finished(fitted, tmp_path, SETTINGS) is None
    fitted.path(tmp_path).parent.mkdir()
    cell.path(tmp_path).rename(fitted.path(tmp_path))
    with pytest.raises(RunError, match=r"compensation 'auto' → 'ridge'"):
        run._finished(fitted, tmp_path, SETTINGS)
