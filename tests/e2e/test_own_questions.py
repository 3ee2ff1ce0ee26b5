"""Fifty pictures and a table of one's own, from calibration to a score."""

import csv
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.errors import QuestionError
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.scenes import scenes
from hipp_prune.search.archive import Archive
from hipp_prune.stages.calibrate import calibrate

PICTURES = 50


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "photos").mkdir()
    rows: list[tuple[object, ...]] = [("photo", "question", "answer", "choices")]
    for number, scene in zip(range(PICTURES), scenes(7, "test"), strict=False):
        photo = f"photos/{number}.png"
        draw(scene).save(folder / photo)
        rows += [
            (photo, "Is there a cup in the image?", ("Yes", "no")[number % 2], ""),
            (photo, "What is in the image?", "AB"[number // 2 % 2], "a cup|a tree"),
        ]
    with (folder / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "photos.csv"


def test_fifty_photos_and_a_table(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, plan, results = tmp_path / "run", tmp_path / "plan.json", tmp_path / "results.json"
    spec = f"{table},columns=image:photo"
    words = [
        "calibrate",
        "--model",
        "toy-llava",
        "--questions",
        str(table),
        "--out",
        str(run),
        "--count",
        "8",
    ]
    assert main(words) == 2
    assert f"say which is which: {spec}" in capsys.readouterr().err
    assert not run.exists()
    assert main([spec if word == str(table) else word for word in words]) == 0
    said = capsys.readouterr().err
    assert "questions about" in said
    assert "accuracies of yes-no are known to ±" in said
    assert main(["search", str(run), "--evaluations", "8", "--minibatch", "8"]) == 0
    (accuracies,) = {tuple(each.accuracies) for each in Archive(run / "search" / "archive.jsonl")}
    assert accuracies == ("choices", "yes-no")
    assert main(["query", str(run), "--preference", "1,1,1", "--out", str(plan)]) == 0
    evaluate = ["evaluate", "--model", "toy-llava", "--questions", spec, "--out", str(results)]
    assert main(evaluate) == 0
    assert set(Scorecard.load(results).results.scores) == {"choices", "yes-no"}
    assert "warning: test: " in capsys.readouterr().err


def test_too_few_pictures_are_refused_before_a_model_is_loaded(table: Path, tmp_path: Path) -> None:
    few = table.with_name("few.csv")
    few.write_text("".join(table.read_text().splitlines(keepends=True)[:7]))
    with pytest.raises(
        QuestionError, match=r"none for .*about [1-4] pictures .*; add questions about [1-4] more"
    ):
        calibrate("no model at all", [f"{few},columns=image:photo"], tmp_path / "run")
