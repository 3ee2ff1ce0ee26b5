"""What runs on a clean clone and what runs elsewhere are the same targets."""

import re

from tests.pages import ROOT


def targets(path: str) -> set[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return set(re.findall(r"^(?:      - run: )?make (.+)$", text, re.MULTILINE))


def test_the_workflow_runs_whatever_a_clean_clone_is_asked_to_run() -> None:
    asked = targets(".ci/run")
    assert {"check", "test"} <= asked
    assert asked <= targets(".github/workflows/ci.yml")
    known = set(
        re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {each.split()[0] for each in targets(".github/workflows/ci.yml")} <= known
