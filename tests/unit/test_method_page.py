"""Every function and test that ``docs/method.md`` names exists."""

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def rows() -> list[list[str]]:
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    table = page[page.index("| equation |") :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def resolve(name: str, module: str) -> str:
    """The module in which a dotted name was found; a bare name is looked for in ``module``."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
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
