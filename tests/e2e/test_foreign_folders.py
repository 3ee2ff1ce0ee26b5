"""Experiments write only where nothing of somebody else's lies, and replace only what they wrote."""

from pathlib import Path

import pytest

from hipp_prune.cli import main

VERBS = {
    "compare": (["compare", "--models", "toy-llava"], "compare.md"),
    "bench-search": (["bench-search", "--quick"], "results.csv"),
    "damage": (["damage", "--model", "toy-llava", "--questions", "toyworld"], "damage.md"),
    "paper": (["paper", "--quick", "--parts", "table1"], "table1.csv"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ["mine", "link", "folder", "listed"])
def test_a_page_of_somebody_else_is_not_replaced(
    tmp_path: Path, verb: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, name = VERBS[verb]
    results, mine = tmp_path / "results", tmp_path / "mine"
    results.mkdir()
    mine.write_text("mine")
    page = results / name
    if kind == "folder":
        page.mkdir()
    elif kind == "link":
        page.symlink_to(mine)
    else:
        page.write_text("mine")
    if kind == "listed":
        (results / "files.jsonl").touch()
    assert main([*words, "--out", str(tmp_path / "out"), "--results", str(results)]) == 2
    said = capsys.readouterr().err
    assert f"{page} is no" in said
    assert "--force" in said or kind in ("link", "folder")
    assert mine.read_text() == "mine"
    assert not (tmp_path / "out").exists()
    assert {path.name for path in results.iterdir()} <= {name, "files.jsonl"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("holds", ["thesis.tex", "run.json", "config.json"])
def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, verb: str, holds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / holds).write_text("{}")
    for force in ([], ["--force"]):
        words = [*VERBS[verb][0], "--out", str(out), "--results", str(tmp_path / "results"), *force]
        assert main(words) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("hipp-prune: ")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", holds]


def test_a_training_log_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "train.log"
    log.write_text("mine")
    words = ["toy", "train", "--model", "toy-llava", "--out", str(tmp_path / "toy"), "--log", str(log)]
    assert main(words) == 2
    assert f"{log} already exists" in capsys.readouterr().err
    assert log.read_text() == "mine"
