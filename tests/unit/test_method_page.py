"""Every function and test that ``docs/method.md`` names exists."""

import re
from dataclasses import fields
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings

ROOT = Path(__file__).parents[2]
TESTS = {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def rows() -> list[list[str]]:
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    table = page[page.index("| equation |") :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def resolve(name: str, module: str) -> str:
    """The module in which a dotted name was found; a bare name is looked for in ``module``."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(["hipp_prune", *parts[:end]]))
        except ModuleNotFoundError:
            continue
        reduce(getattr, parts[end:], found)
        return found.__name__
    reduce(getattr, parts, import_module(module))
    return module


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}: {row[1]}")
def test_a_row_names_what_there_is(row: list[str]) -> None:
    module = "hipp_prune"
    for name in re.findall(r"`([^`]+)`", row[2]):
        module = resolve(name, module)
    named = re.findall(r"`([^`]+)`", row[3])
    assert named
    for test in named:
        exists = (ROOT / test).is_file() if "/" in test else test in TESTS
        assert exists, test


@pytest.mark.parametrize(
    ("heading", "settings"), [("Recovery", RecoverySettings), ("Defaults", SearchSettings)]
)
def test_settings_are_called_what_they_are(heading: str, settings: type) -> None:
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (`[^|]+)", section, flags=re.M)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert len(named) > 5
    assert named <= {field.name for field in fields(settings)}


def test_modules_that_the_text_names_are_there() -> None:
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    text = page[page.index("## Pruning unit") :]
    rooms = {folder.name for folder in (ROOT / "src" / "hipp_prune").iterdir() if folder.is_dir()}
    named = [name for name in re.findall(r"`((?:[a-z_]+\.)+\w+)`", text) if name.split(".")[0] in rooms]
    assert named
    for name in named:
        if name != "recovery.json":
            resolve(name, "hipp_prune")
