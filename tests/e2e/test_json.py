"""``--json`` on every verb: standard output is one line that parses, and so do the commands that it says come next."""

import json
import shutil
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.cli.verbs import VERBS
from hipp_prune.export import hub
from tests.e2e.conftest import Finished
from tests.e2e.documents import last_document
from tests.pages import ROOT
from tests.tiny import tiny_image
from tests.unit.export.test_hub import Hub

LONGER = {
    "auto": "tests/e2e/test_auto.py",
    "bench-search": "tests/e2e/test_bench_search.py",
    "compare": "tests/e2e/test_compare.py",
    "quickstart": "tests/e2e/test_quickstart.py",
}
"""Verbs that other tests run with ``--json``, because it takes them long."""
WORDS = {
    "ask": "ask SMALLER A? --image 0.png --max-tokens 2",
    "baseline": "baseline --run RUN --method uniform --sparsity 0.2 --out uniform",
    "calibrate": "calibrate --model MODEL --questions POPE SCIENCEQA --count 8 --out started",
    "check": "check RUN",
    "damage": "damage --model MODEL --questions POPE --budgets 0.4 --compensation none --limit 8 --out damaged",
    "doctor": "doctor MODEL",
    "evaluate": "evaluate --model SMALLER --questions POPE SCIENCEQA --limit 8 --run RUN",
    "explore": "explore RUN --out explorer.html",
    "export": "export SMALLER --format padded --out padded",
    "models": "models",
    "prune": "prune --run RUN --preference 0,1,0 --sparsity 0.3 --out pruned",
    "push": "push SMALLER me/smaller",
    "query": "query RUN --preference 2,1,1 --sparsity 0.2 --out plan.json",
    "questions": "questions pope --annotations objects.jsonl --images . --out polls",
    "recover": "recover SMALLER --questions POPE SCIENCEQA --steps 1 --lora-blocks 1 --out recovered",
    "report": "report RUN",
    "search": "search RUN --evaluations 40 --minibatch 12 --seed 3",
    "show": "show RUN",
    "toy": "toy make --out world",
}
NEXT = (
    "ask",
    "baseline",
    "calibrate",
    "doctor",
    "evaluate",
    "prune",
    "push",
    "query",
    "questions",
    "recover",
    "search",
    "show",
    "toy",
)
"""Verbs after which another one comes."""
REFUSED = {
    "paper": "paper --out out --results pages --budgets 0.3",
    "photo": "photo build --out out --tasks nothing",
}
"""Verbs whose work takes hours, or a package from an index: what they refuse is a document too."""


@pytest.fixture(scope="module")
def place(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the run and a few things to work on."""
    folder = tmp_path_factory.mktemp("json")
    shutil.copytree(finished.run, folder / "run")
    lines = []
    for index in range(6):
        tiny_image(index).save(folder / f"{index}.png")
        things = ["cup", "chair", "dog", "cat", "car", "tree", "bus", "bird", "book"][index : index + 4]
        lines.append(json.dumps({"image": f"{index}.png", "objects": things}))
    (folder / "objects.jsonl").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("verb", WORDS)
def test_a_verb_ends_in_one_line(
    verb: str,
    place: Path,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(hub, "HfApi", Hub)
    monkeypatch.setattr(hub, "get_token", lambda: "token")
    Hub.told, Hub.error = [], None
    pope, scienceqa = finished.benchmarks.specs
    named = {
        "RUN": "run",
        "MODEL": str(finished.model),
        "SMALLER": str(finished.checkpoint),
        "POPE": pope,
        "SCIENCEQA": scienceqa,
    }
    capfd.readouterr()
    assert main([*(named.get(word, word) for word in WORDS[verb].split()), "--json"]) == 0
    document = last_document(capfd.readouterr().out)
    assert document
    assert bool(document.get("next")) == (verb in NEXT)


@pytest.mark.parametrize("verb", REFUSED)
def test_a_refusal_is_one_line_too(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*REFUSED[verb].split(), "--json"]) == 2
    assert list(last_document(capfd.readouterr().out)) == ["error"]


def test_no_verb_is_left_out() -> None:
    assert sorted([*WORDS, *LONGER, *REFUSED]) == sorted(VERBS)
    for verb, path in LONGER.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        assert '"--json"' in text, verb
        assert "last_document(" in text, verb
