"""Questions about two pictures each, from calibration to a report that shows both."""

import json
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.scenes import scenes

PAIRS = 30


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for number, scene in zip(range(2 * PAIRS), scenes(7, "test"), strict=False):
        draw(scene).save(folder / f"{number}.png")
    rows = [
        {
            "image": [f"{2 * pair}.png", f"{2 * pair + 1}.png"],
            "question": f"Is there {thing} in both?",
            "answer": ("yes", "no")[(pair + len(thing)) % 2],
        }
        for pair in range(PAIRS)
        for thing in ("a cup", "a tree")
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "pairs.jsonl"


def test_pairs_from_calibration_to_a_report(table: Path, tmp_path: Path) -> None:
    run, plan, smaller = tmp_path / "run", tmp_path / "plan.json", tmp_path / "smaller"
    asked = ["--questions", str(table)]
    calibrate = ["calibrate", "--model", "toy-qwen2.5-vl", *asked, "--out", str(run), "--count", "8"]
    assert main(calibrate) == 0
    assert main(["search", str(run), "--evaluations", "4", "--minibatch", "8"]) == 0
    assert main(["query", str(run), "--preference", "1,0,1", "--out", str(plan)]) == 0
    assert main(["prune", "--run", str(run), "--plan", str(plan), "--out", str(smaller)]) == 0
    for model, name in (("toy-qwen2.5-vl", "dense"), (str(smaller), "pruned")):
        out = tmp_path / f"{name}.json"
        assert main(["evaluate", "--model", model, *asked, "--run", str(run), "--out", str(out)]) == 0
        answers = Scorecard.load(out).answers
        assert answers
        assert all(len(answer.images) == 2 for answer in answers)
