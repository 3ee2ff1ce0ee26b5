"""What the pages name is there: files, verbs, and the flags of verbs."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from hipp_prune.cli.documents import JSON
from hipp_prune.cli.entry import DEBUG
from hipp_prune.cli.verbs import VERBS
from hipp_prune.experiments.toy.verb import ToyMake, ToyTrain

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))

FOREIGN = {"torchvision/_meta_registrations.py"}
"""Files of other packages."""
PLACES = (ROOT, ROOT / "src" / "hipp_prune")
"""Pages name files from the repository's root, or from the package's."""


def paths(text: str) -> set[str]:
    """Files and folders that a page sets in type, with at least one slash."""
    quoted = re.findall(r"`((?:src|tests|docs|benchmarks)/[\w./-]*|[\w-]+/[\w/-]*\.py)`", text)
    run = re.findall(r"python ((?:docs|benchmarks)/\w+\.py)", text)
    return {path for path in quoted + run if "NAME" not in path} - FOREIGN


def commands(text: str) -> Iterator[tuple[str, set[str]]]:
    """Verbs that a page calls, in a block of code or set in type, each with the flags it gives them."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in re.sub(r"\\\n", " ", block).splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    for line in lines:
        called = re.match(
            r"(?:\S+=\S+ )*(?:hipp-prune|torchrun.* -m hipp_prune) +([a-z][a-z-]*)([^#]*)", line
        )
        if called:
            yield called[1], set(re.findall(r"(?<=\s)--[a-z][a-z0-9-]*", " " + called[2]))


def flags(settings: Any) -> Iterator[str]:
    """Every flag that a class of settings makes, switches with what turns them off."""
    hints = get_type_hints(settings, include_extras=True)
    for field in fields(settings):
        if is_dataclass(hints[field.name]):
            yield from flags(hints[field.name])
        else:
            renamed = [getattr(each, "name", None) for each in getattr(hints[field.name], "__metadata__", ())]
            name = next(filter(None, renamed), field.name.replace("_", "-"))
            yield from (f"--{name}", f"--no-{name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_are_there(page: Path) -> None:
    named = paths(page.read_text(encoding="utf-8"))
    assert [path for path in sorted(named) if not any((place / path).exists() for place in PLACES)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_verbs_take_the_named_flags(page: Path) -> None:
    for verb, given in commands(page.read_text(encoding="utf-8")):
        assert verb in VERBS, f"{page.name}: hipp-prune {verb}"
        owners = (ToyMake, ToyTrain) if verb == "toy" else (VERBS[verb].load(),)
        known = {"--help", JSON, DEBUG}.union(*map(flags, owners))
        assert given <= known, f"{page.name}: hipp-prune {verb} {sorted(given - known)}"


def test_what_the_pages_name_is_found() -> None:
    assert paths("`docs/log.md`, `a/b.py` and `python benchmarks/x.py`") == {
        "docs/log.md",
        "a/b.py",
        "benchmarks/x.py",
    }
    text = "```\nhipp-prune query run \\\n  --align 8  # --not\n```\n`hipp-prune models --check M`, `python -m x`\n"
    assert list(commands(text)) == [("query", {"--align"}), ("models", {"--check"})]


def test_every_page_has_a_place_in_the_site() -> None:
    """``make docs`` refuses a page that the menu leaves out, and nobody builds the site at every change."""
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    menu = set(re.findall(r"(?<=: )[\w/.-]+\.(?:md|ipynb)$", site, flags=re.MULTILINE))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages - menu if not page.startswith("results/paper/")} == set()
    assert menu - pages == {"index.md", "contributing.md", "changelog.md", "notebook.ipynb"}
