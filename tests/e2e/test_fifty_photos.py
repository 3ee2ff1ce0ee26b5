"""Fifty photos and a table: what README says, and the lines that it ends with, as printed, in a fresh folder."""

import csv
import re
import shlex
from pathlib import Path
from random import Random

import pytest
from transformers import PreTrainedModel

from hipp_prune.cli import main
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.recipes import read_recipe
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.scenes import Scene, scenes
from hipp_prune.questions.toyworld.things import THING_BY_NAME, THINGS
from tests.e2e.conftest import Refused

ROOT = Path(__file__).parents[2]
PHOTOS = 50
MODEL = "llava-hf/llava-1.5-7b-hf"


def two_questions(photo: str, scene: Scene, number: int, rng: Random) -> list[tuple[str, ...]]:
    """A row for Yes or No, and one with choices."""
    there = THING_BY_NAME[rng.choice(scene.names)].phrase
    absent = THING_BY_NAME[
        rng.choice([thing.name for thing in THINGS if thing.name not in scene.names])
    ].phrase
    thing, answer = ((there, "yes"), (absent, "no"))[number % 2]
    choices = [there, absent] if number // 2 % 2 else [absent, there]
    return [
        (photo, f"Is there {thing} in the image?", answer, ""),
        (photo, "Which of these is in the picture?", there, " | ".join(choices)),
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures and ``photos.csv``, as a user has them, in the current folder."""
    (tmp_path / "photos").mkdir()
    rows: list[tuple[str, ...]] = [("image", "question", "answer", "choices")]
    rng = Random(0)
    for number, scene in zip(range(PHOTOS), scenes(18, "test"), strict=False):
        photo = f"photos/{number}.png"
        draw(scene).save(tmp_path / photo)
        rows += two_questions(photo, scene, number, rng)
    with (tmp_path / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands() -> list[list[str]]:
    """README's, of the embedded model."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Fifty photos of your own\n")[2]
    found = re.search(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found is not None
    lines = found[1].replace(MODEL, "toy-llava").replace(".jpg", ".png").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines]


def closing_lines(summary: str) -> dict[str, list[str]]:
    """What a summary ends with, by the word before each group of lines."""
    groups: dict[str, list[str]] = {}
    for line in summary[summary.index("\nask:") + 1 :].splitlines():
        word, text = line[:9].strip().removesuffix(":"), line[10:]
        groups.setdefault(word or list(groups)[-1], []).append(text)
    return groups


def test_from_photos_to_a_checkpoint_in_few_commands(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = commands()
    assert len(done) <= 5
    for words in done:
        quick = ["--evaluations", "16"] if words[0] == "auto" else []
        assert main([*words, *quick]) == 0, words
    printed = capsys.readouterr()
    assert "warning: search: " in printed.err, "what 50 photos can tell is said before any work"
    summary = (folder / "smaller-run" / "summary.txt").read_text(encoding="utf-8")
    assert summary in printed.out
    assert max(map(len, summary.partition("\nask:")[0].splitlines())) <= 80
    lines = closing_lines(summary)
    assert list(lines) == ["ask", "load", "serve", "compare", "again"]
    made: dict[str, object] = {}
    exec("\n".join(lines["load"]), made)
    assert isinstance(made["model"], PreTrainedModel)
    assert lines["serve"][0] in (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    for line in (*lines["ask"], *lines["compare"], *lines["again"]):
        program, *words = shlex.split(line)
        assert program == "hipp-prune"
        assert main(words) == 0, line
    page = (folder / "smaller-run" / "report.html").read_text(encoding="utf-8")
    assert "wanda-coupled" in page
    assert "has not been evaluated" not in page


def test_a_broken_photo_is_refused_or_left_out_and_counted_by_every_stage(
    folder: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "photos.csv").open("a") as file:
        file.write("photos/gone.png,Is there a dog in the image?,maybe so,\n")
    words = ["auto", "toy-llava", "--questions", "photos.csv", "--sparsity", "0.3", "--out", "smaller"]
    words += ["--count", "5", "--evaluations", "16"]
    assert "photos/gone.png" in refused(words)
    assert not (folder / "smaller").exists()
    assert main([*words, "--skip-bad"]) == 0
    printed = capsys.readouterr()
    assert "left out 1: " in printed.err
    assert "photos/gone.png" in "".join(printed.err.split())
    assert "--skip-bad" in printed.out
    run = RunDirectory(folder / "smaller-run")
    assert run.provenance().skip_bad
    assert run.provenance().questions == ("photos.csv,count=5",)
    assert [score.n for score in Scorecard.load(run.results / "dense.json").results.scores.values()] == [5, 5]
    assert main(["prune", "--run", "smaller-run", "--preference", "1,1,1", "--out", "other"]) == 0
    assert "--skip-bad --run smaller-run" in capsys.readouterr().err
    recipe = read_recipe(run.recipe)
    assert (recipe["count"], recipe["skip-bad"]) == (5, True)
