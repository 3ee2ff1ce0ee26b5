"""``--json``: one document on standard output, whatever the verb and however it ends."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hipp_prune.cli import main
from hipp_prune.cli.documents import document
from hipp_prune.cli.verbs import VERBS
from hipp_prune.errors import InputError
from hipp_prune.report.terminal import next_steps
from hipp_prune.stages.summary import commands_in
from tests.unit.report.synthetic import make_plan


@dataclass(frozen=True)
class Part:
    place: Path
    numbers: Any


def printed(words: list[str], status: int = 0) -> dict[str, Any]:
    """What a process of its own printed on standard output, read as JSON."""
    command = [sys.executable, "-m", "hipp_prune", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_a_result_becomes_plain_json() -> None:
    found = document([Part(Path("a/b"), np.array([1.5, np.nan])), {("x", 1): {2}}, None, True])
    assert found == [{"place": "a/b", "numbers": [1.5, None]}, {"('x', 1)": [2]}, None, True]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_plan_is_what_its_file_says_but_for_the_masks() -> None:
    plan = make_plan((1.0, 0.0, 0.0), 0.3)
    assert document(plan) == {
        name: each for name, each in json.loads(plan.to_json()).items() if name != "masks"
    }


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_returns_its_result(name: str) -> None:
    assert "        return " in getsource(VERBS[name].load().run)


def test_a_process_prints_one_document_and_the_rest_on_standard_error(tmp_path: Path) -> None:
    shown = printed(["show", "toy-llava", "--json"])
    assert (shown["what"], bool(shown["facts"])) == ("a model", True)
    refused = printed(["--json", "show", str(tmp_path / "nowhere")], status=2)
    assert list(refused) == ["error"]
    assert "nowhere" in refused["error"]


def test_a_verb_that_ends_with_a_status_prints_its_result(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path), "--json"]) == 1
    said = capfd.readouterr()
    missing = [each["name"] for each in json.loads(said.out)["findings"] if each["missing"]]
    assert missing == ["model"]
    assert "missing: model:" in said.err


def test_what_other_processes_print_is_no_part_of_the_document(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> object:
        subprocess.run(["echo", "noise"], check=True)
        raise InputError("refused")

    monkeypatch.setattr(VERBS["models"].load(), "run", run)
    assert main(["models", "--json"]) == 2
    said = capfd.readouterr()
    assert json.loads(said.out) == {"error": "refused"}
    assert "noise" in said.err


def test_what_to_run_next_is_in_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> object:
        next_steps("hipp-prune report run", "hipp-prune show run")
        return {"found": 1}

    monkeypatch.setattr(VERBS["models"].load(), "run", run)
    assert main(["models", "--json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out) == {"found": 1, "next": ["hipp-prune report run", "hipp-prune show run"]}
    assert "hipp-prune report run" in said.err
    assert main(["models"]) == 0
    assert capfd.readouterr().out == ""


def test_a_summary_of_auto_ends_with_commands() -> None:
    summary = "ask:      hipp-prune ask out 'A?'\nload:     import x\ncompare:  hipp-prune a\n          hipp-prune b\n"
    assert commands_in(summary) == ["hipp-prune ask out 'A?'", "hipp-prune a", "hipp-prune b"]


def test_without_the_flag_nothing_changes(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    plain = capfd.readouterr().out
    assert main(["--version", "--json"]) == 0
    assert plain == f"hipp-prune {json.loads(capfd.readouterr().out)['version']}\n"


@pytest.mark.parametrize(
    ("words", "verbs"), [([], list(VERBS)), (["-h"], list(VERBS)), (["query", "-h"], ["query"])]
)
def test_help_goes_beside_a_document_of_what_verbs_are_for(
    words: list[str], verbs: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == 0
    printed, beside = capfd.readouterr()
    assert json.loads(printed) == {"verbs": {name: VERBS[name].summary for name in verbs}}
    assert "usage: hipp-prune" in beside
