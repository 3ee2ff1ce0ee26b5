"""Pictures and no answers at all: what the dense model says is what a pruned one is to say."""

from itertools import islice
from pathlib import Path

import pytest

from hipp_prune.errors import QuestionError
from hipp_prune.files.manifest import check_whole
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.scenes import scenes
from hipp_prune.search.archive import Archive
from hipp_prune.search.query.requirements import Requirement
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.evaluate import evaluate
from hipp_prune.stages.prune import prune
from hipp_prune.stages.query import query
from hipp_prune.stages.recover import recover
from hipp_prune.stages.search import search
from hipp_prune.stages.settings import CalibrateSettings, EvaluateSettings
from hipp_prune.stages.show import show


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number, scene in enumerate(islice(scenes(0, "test"), 16)):
        draw(scene).save(folder / f"{number:02}.png")
    return folder


def test_photos_without_labels_become_a_smaller_model(photos: Path, tmp_path: Path) -> None:
    source, said = f"photos:{photos}", list[str]()
    settings = CalibrateSettings(count=8, answer_tokens=6)
    run = calibrate("toy-llava", [source], tmp_path / "run", settings, announce=said.append)
    assert any("agreement with the dense model" in line for line in said)
    for path in (run.labels, run.object_labels):
        check_whole(path)
    search(run.root, SearchSettings(evaluations=24, minibatch=8, probe=None))
    archive = list(Archive(run.search.archive))
    assert {tuple(sorted(each.accuracies)) for each in archive} == {("agreement", "agreement-objects")}
    assert all(each.utility < 0 and each.robustness < 0 for each in archive)
    plan = query(
        run.root, None, requirements=[Requirement.parse("agreement=0"), Requirement.parse("sparsity=0.2")]
    )
    prune("toy-llava", plan, tmp_path / "small")
    labels = [f"agreement:{run.labels}", f"agreement-objects:{run.object_labels}"]
    for model, least in (("toy-llava", 1.0), (str(tmp_path / "small"), 0.0)):
        results = evaluate(model, labels, EvaluateSettings(split="all")).results
        assert all(score.accuracy >= least for score in results.scores.values())
        assert all(
            "agreement with the dense model" in score.rows()[0][0] for score in results.scores.values()
        )
    for text in (source, labels[0]):
        with pytest.raises(QuestionError, match="leave these sources out"):
            recover(str(tmp_path / "small"), [text], tmp_path / "recovered")
    with pytest.raises(QuestionError, match="add --dense MODEL"):
        evaluate(str(tmp_path / "small"), [source], EvaluateSettings(split="all"))
    asked = evaluate(str(tmp_path / "small"), [source], EvaluateSettings(split="all"), dense="toy-llava")
    assert asked.results == results
    (step,) = show(str(tmp_path / "small")).next
    assert step.endswith("--dense toy-llava"), "what comes next can be run"
