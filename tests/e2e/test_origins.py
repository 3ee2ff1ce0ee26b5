"""Weights, labels and pictures that change between two stages are noticed; damage is, where a file is read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from hipp_prune.cli import main
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.plans.plan import Plan
from tests.e2e.conftest import Refused, write_pope, write_scienceqa
from tests.tiny import tiny_image

SEARCH = ("--minibatch", "8", "--seed", "1")


class World:
    """A model and questions of its own, and a run that has been searched."""

    def __init__(self, root: Path, llava: Path) -> None:
        self.root, self.run, self.model = root, root / "run", root / "model"
        self.pope, self.scienceqa = write_pope(root / "pope"), write_scienceqa(root / "scienceqa")
        shutil.copytree(llava, self.model)
        self.questions = ("--questions", f"pope:{self.pope}", f"scienceqa:{self.scienceqa}")
        calibrate = [
            "calibrate",
            "--model",
            str(self.model),
            *self.questions,
            "--out",
            str(self.run),
            "--count",
            "8",
        ]
        assert main(calibrate) == 0
        assert main(["search", str(self.run), "--evaluations", "16", *SEARCH]) == 0


@pytest.fixture
def world(tmp_path: Path, llava: Path) -> World:
    return World(tmp_path, llava)


def swap_weights(world: World) -> None:
    path = world.model / "model.safetensors"
    save_file({name: -tensor for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


def invert_labels(world: World) -> None:
    other = {"yes": "no", "no": "yes"}
    for path in world.pope.glob("*.json"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**line, "label": other[line["label"]]}) + "\n" for line in lines))


def exchange_pictures(world: World) -> None:
    for index, path in enumerate(sorted((world.pope / "images").iterdir())):
        tiny_image(5000 + index).save(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [(swap_weights, "weights"), (invert_labels, "questions"), (exchange_pictures, "questions")],
)
def test_a_search_does_not_go_on_with_anything_else(
    world: World, refused: Refused, change: Callable[[World], None], named: str
) -> None:
    archive = world.run / "search" / "archive.jsonl"
    before = archive.read_bytes()
    change(world)
    said = refused(["search", world.run, "--evaluations", "24", *SEARCH])
    assert f"was made with other {named} (fingerprint " in said
    assert archive.read_bytes() == before


@pytest.mark.parametrize("change", [invert_labels, exchange_pictures])
def test_a_search_does_not_begin_with_other_questions_than_were_calibrated_on(
    world: World, refused: Refused, change: Callable[[World], None]
) -> None:
    shutil.rmtree(world.run / "search")
    change(world)
    assert "cannot be drawn again" in refused(["search", world.run, "--evaluations", "16", *SEARCH])
    assert not (world.run / "search").exists()


def test_what_is_answered_says_what_it_was_made_with(world: World, tmp_path: Path) -> None:
    plan, smaller, results = tmp_path / "plan.json", tmp_path / "smaller", tmp_path / "results.json"
    record = json.loads((world.run / "search" / "search.json").read_text())
    assert (
        main(["query", str(world.run), "--preference", "1,1,1", "--sparsity", "0.3", "--out", str(plan)]) == 0
    )
    made = Plan.load(plan)
    assert made.shape.fingerprint == record["origin"]["weights"]
    assert made.notes["questions"] == record["origin"]["questions"]
    assert main(["prune", "--model", str(world.model), "--plan", str(plan), "--out", str(smaller)]) == 0
    ask = ["evaluate", "--model", str(smaller), *world.questions, "--split", "search", "--out", str(results)]
    assert main(ask) == 0
    origin = Scorecard.load(results).origin
    assert origin is not None
    assert origin.questions == record["origin"]["questions"]
    assert origin.weights != record["origin"]["weights"]


def test_a_baseline_is_calibrated_on_what_the_run_was(world: World, refused: Refused, tmp_path: Path) -> None:
    invert_labels(world)
    said = refused(
        [
            "baseline",
            "--method",
            "uniform",
            "--sparsity",
            "0.3",
            "--run",
            world.run,
            "--out",
            tmp_path / "even",
        ]
    )
    assert "cannot be drawn again" in said
    assert not (tmp_path / "even").exists()


def test_a_plan_is_not_applied_to_other_weights(world: World, refused: Refused, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert main(["query", str(world.run), "--preference", "1,1,1", "--out", str(plan)]) == 0
    swap_weights(world)
    said = refused(["prune", "--model", world.model, "--plan", plan, "--out", tmp_path / "smaller"])
    assert "the plan was made for other weights" in said


def test_results_of_other_labels_are_not_put_beside_each_other(world: World) -> None:
    ask = ["evaluate", "--model", str(world.model), *world.questions, "--out"]
    assert main([*ask, str(world.run / "results" / "dense.json")]) == 0
    invert_labels(world)
    assert main([*ask, str(world.run / "results" / "again.json"), "--label", "again"]) == 0
    assert main(["report", str(world.run)]) == 0
    assert "are not those that the dense model was asked" in (world.run / "report.html").read_text()


def test_an_archive_that_is_gone_is_noticed_and_a_search_that_is_gone_begins_again(
    world: World, refused: Refused
) -> None:
    search = world.run / "search"
    (search / "archive.jsonl").unlink()
    assert "archive.jsonl is gone" in refused(["search", world.run, "--evaluations", "24", *SEARCH])
    shutil.rmtree(search)
    assert main(["search", str(world.run), "--evaluations", "16", *SEARCH]) == 0
    assert main(["check", str(world.run)]) == 0
