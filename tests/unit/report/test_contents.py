"""Reading a run directory in any state, without touching it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hipp_prune.errors import IncompleteRunError
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.questions.question import Question
from hipp_prune.report.contents import read_contents
from hipp_prune.report.page import render_report
from tests.unit.report.synthetic import BLOCKS, make_archive, make_evaluation, make_plan


def test_everything_of_a_finished_run(finished: RunDirectory) -> None:
    contents = read_contents(finished)
    assert contents.damaged == {}
    assert contents.sensitivity is not None
    assert {name: len(values) for name, values in contents.sensitivity.items()} == dict.fromkeys(
        ("max", "mean", "last"), BLOCKS
    )
    assert contents.sensitivity["max"][0] == pytest.approx(0.4)
    assert contents.num_questions == 4
    assert contents.settings is not None
    assert contents.settings.evaluations == 200
    assert contents.space is not None
    assert contents.space.num_units == BLOCKS
    assert len(contents.archive) == len(make_archive())
    assert len(contents.curve) == 10
    assert list(contents.plans) == ["robust", "useful", "small"]
    assert list(contents.evaluations) == ["dense", "robust", "useful", "small"]
    assert contents.dense is contents.evaluations["dense"]
    assert len(contents.pruned) == 3
    assert all(contents.evaluation_of(plan) for plan in contents.plans.values())
    assert contents.evaluation_of(make_plan((1.0, 0.0, 0.0), 0.55)) is None


def test_models_without_preference_come_last(finished: RunDirectory, questions: list[Question]) -> None:
    make_evaluation(questions, "another pruner", errors=[]).save(finished.results / "aaa.json")
    assert list(read_contents(finished).evaluations)[-1] == "aaa"


def test_a_started_run_is_empty_but_sound(started: RunDirectory) -> None:
    contents = read_contents(started)
    assert (contents.sensitivity, contents.settings, contents.space, contents.dense) == (
        None,
        None,
        None,
        None,
    )
    parts = (contents.archive, contents.curve, contents.plans, contents.evaluations, contents.damaged)
    assert not any(parts)


def test_no_manifest_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(IncompleteRunError, match="calibrate"):
        read_contents(RunDirectory(tmp_path / "nowhere"))


def test_reading_leaves_a_line_that_is_being_written_alone(finished: RunDirectory) -> None:
    archive = finished.search.archive
    with archive.open("a", encoding="utf-8") as file:
        file.write('{"kept": [1, 2')
    before = archive.read_bytes()
    contents = read_contents(finished)
    assert archive.read_bytes() == before
    assert len(contents.archive) == len(make_archive())
    assert contents.damaged == {}


def test_damaged_files_are_named_and_the_rest_is_read(finished: RunDirectory) -> None:
    finished.calibration.write_bytes(finished.calibration.read_bytes()[:100])
    write_text(finished.search.archive, "nonsense\n{}\n")
    write_json(finished.search.curve, [{"phase": "policy"}])
    write_json(finished.search.record, {"settings": {"surprise": 1}})
    write_text(finished.plans / "small.json", "{")
    write_text(finished.results / "small.json", '{"label": "x"}')
    contents = read_contents(finished)
    assert set(contents.damaged) == {
        "calibration.safetensors",
        "search/archive.jsonl",
        "search/curve.json",
        "search/search.json",
        "plans/small.json",
        "results/small.json",
    }
    assert list(contents.plans) == ["robust", "useful"]
    assert list(contents.evaluations) == ["dense", "robust", "useful"]


def test_an_archive_of_another_mode_than_the_search_says_is_left_out(finished: RunDirectory) -> None:
    lines = finished.search.archive.read_text().splitlines()
    lines[3] = json.dumps(json.loads(lines[3]) | {"compensation": "ridge"})
    write_text(finished.search.archive, "\n".join(lines) + "\n")
    contents = read_contents(finished)
    assert contents.archive == []
    (reason,) = contents.damaged.values()
    assert "line 4: expected a plan evaluated with none compensation, found ridge" in reason


def test_a_plan_that_was_evaluated_otherwise_compensated_was_not_evaluated(finished: RunDirectory) -> None:
    contents = read_contents(finished)
    plan = contents.plans["robust"]
    assert contents.evaluation_of(plan) is not None
    assert contents.evaluation_of(plan.with_compensation("ridge", 0.5)) is None


def test_a_plan_without_compensation_may_have_been_written_with_some(finished: RunDirectory) -> None:
    fitted = replace(read_contents(finished).evaluations["robust"], compensation="sequential")
    fitted.save(finished.results / "robust.json")
    contents = read_contents(finished)
    assert contents.evaluation_of(contents.plans["robust"]) == fitted
    assert "plans/robust.json --compensation sequential --out" in render_report(contents)
