"""The page of a trained run, in a real browser: its plans are those of ``query``, and its commands make them."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hipp_prune.cli import main
from hipp_prune.plans.plan import Plan
from tests.e2e.conftest import Finished
from tests.unit.report.test_explorer_page import CHROMIUM, corner, weights

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")


@pytest.fixture(scope="module")
def run(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained run, in a folder whose name has to be quoted for a shell."""
    copied = Path(shutil.copytree(finished.run, tmp_path_factory.mktemp("explore") / "a run"))
    assert main(["explore", str(copied)]) == 0
    return copied


@pytest.fixture(scope="module")
def page(run: Path) -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1000, "height": 900})
        opened.goto((run / "explorer.html").as_uri())
        yield opened
        browser.close()


def drag(page: Any, x: float, y: float) -> None:
    page.mouse.move(*corner(page, 150, 164))
    page.mouse.down()
    page.mouse.move(*corner(page, x, y), steps=3)
    page.mouse.up()


def enter(page: Any, field: str, text: str) -> None:
    page.fill(field, text)
    page.press(field, "Enter")


def fix(page: Any, percent: str) -> None:
    page.check("#fix")
    enter(page, "#sparsity", percent)


WAYS = {
    "the dot is dragged to a corner": lambda page: drag(page, 150, 10),
    "it is dragged to the middle": lambda page: drag(page, 140, 170),
    "another corner is tapped": lambda page: page.mouse.click(*corner(page, 24, 232)),
    "a weight is typed": lambda page: enter(page, "#weight-2", "70"),
    "keys are pressed": lambda page: page.press("#triangle", "Shift+ArrowUp"),
    "the size is fixed": lambda page: fix(page, "35"),
    "the size is fixed and the preference moves": lambda page: drag(page, 90, 150),
}


def test_its_plans_are_those_of_the_commands_that_it_prints(page: Any, run: Path) -> None:
    differ = {}
    for way, act in WAYS.items():
        act(page)
        asked = ",".join(map(str, weights(page)))
        said = page.locator("#bars rect title").all_text_contents()
        kept = [int(re.search(r"keeps (\d+) of", each)[1]) for each in said]
        command, _ = page.inner_text("#commands").splitlines()
        assert f"--preference {asked}" in command, way
        made = _made_by(command, run)
        assert made.preference is not None
        differ[way] = np.abs(np.array(kept) - made.kept).sum()
    # A neuron moves where two remainders are all but equal: the page computes in double precision.
    assert max(differ.values()) <= 2, differ
    assert sum(map(bool, differ.values())) <= 1, differ


def _made_by(command: str, run: Path) -> Plan:
    """The plan that a printed command writes."""
    shutil.rmtree(run / "plans", ignore_errors=True)
    program, *words = shlex.split(command)
    assert program == "hipp-prune"
    assert main(words) == 0
    (path,) = (run / "plans").glob("*.json")
    return Plan.load(path)


def test_its_second_command_makes_the_model(page: Any) -> None:
    drag(page, 200, 200)
    weights(page)
    said = page.locator("#bars rect title").all_text_contents()
    kept = [int(re.search(r"keeps (\d+) of", each)[1]) for each in said]
    words = shlex.split(page.inner_text("#commands").splitlines()[1])
    assert main(words[1:]) == 0
    made = Plan.load(Path(words[-1]) / "plan.json")
    assert np.abs(np.array(kept) - made.kept).sum() <= 2
