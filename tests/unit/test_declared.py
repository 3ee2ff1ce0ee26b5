"""What the code imports is declared: whoever installs the package, with an extra perhaps, has all of it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHERWISE = {
    "jaxtyping": "checks shapes under test",
    "lmms_eval": "imports us",
    "pydantic_core": "comes with pydantic, and is imported for its types alone",
}
"""What is imported though it is not declared, and why."""


def _imported(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _plain(name: str) -> str:
    return re.split(r"[^\w.-]", name)[0].lower().replace("_", "-")


def test_everything_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [extra for name, extra in project["optional-dependencies"].items() if name != "dev"]
    declared = {_plain(each) for part in (project["dependencies"], *extras) for each in part}
    imported = {name for path in (ROOT / "src").rglob("*.py") for name in _imported(path.read_text())}
    foreign = imported - set(sys.stdlib_module_names) - {"hipp_prune"}
    known = packages_distributions()
    undeclared = {
        name for name in foreign if not declared & {_plain(each) for each in known.get(name, [name])}
    }
    assert undeclared == OTHERWISE.keys()
