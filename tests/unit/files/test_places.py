"""What was given instead is named, with the command or the path that was probably meant."""

import os
from pathlib import Path

import pytest

from hipp_prune.files.places import found_instead


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a searched run, one that was not, a checkpoint, a plan and results."""
    files = (
        "run/run.json",
        "run/search/planner.safetensors",
        "begun/run.json",
        "ckpt/config.json",
        "thesis/a.tex",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "plan.json").write_text('{"format": 1, "unit": "coupled", "kept": [1]}')
    (tmp_path / "known.json").write_text('{"unit": "coupled", "kept": [1], "notes": {"model": "my model"}}')
    (tmp_path / "scores.json").write_text('{"label": "dense", "results": {}}')
    (tmp_path / "empty").mkdir()
    (tmp_path / "nowhere-link").symlink_to("not-there")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run", "`hipp-prune prune --run run --preference 1,1,1 --out smaller`"),
        ("begun", "has not been searched; go on with `hipp-prune search begun`"),
        ("ckpt", "`hipp-prune evaluate --model ckpt --questions toyworld`"),
        ("plan.json", "`hipp-prune prune --model MODEL --plan plan.json --out smaller`"),
        ("known.json", "`hipp-prune prune --model 'my model' --plan known.json --out smaller`"),
        ("scores.json", "`hipp-prune evaluate --answers scores.json`"),
        ("run/run.json", "did you mean run?"),
        ("run/search", "did you mean run?"),
        ("plam.json", "there is no plam.json; did you mean plan.json?"),
        ("nowhere", "there is no nowhere; look again"),
        ("thesis", "a folder of a.tex; look again"),
        ("empty", "an empty folder; look again"),
        ("nowhere-link", "nowhere-link is a link that leads nowhere; remove it"),
        ("loop", "loop is a link that leads nowhere"),
        ("pipe", "pipe is a pipe or a device; look again"),
        ("toy-lava", "did you mean toy-llava?"),
    ],
)
def test_what_lies_there_and_what_was_meant(folder: Path, name: str, said: str) -> None:
    sentence = found_instead(Path(name), "look again", among=["toy-llava"])
    assert said in sentence
    assert "\n" not in sentence
