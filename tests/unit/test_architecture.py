"""The docstring of the package, the layers contract, and the drawn page of ``docs`` tell one story."""

import ast
import importlib.util
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import grimp
import pytest

import hipp_prune

ROOT = Path(__file__).parents[2]


def contract() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(r"^layers = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert layers is not None
    return re.findall(r'"(\w+)"', layers[1])


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "docs" / "draw_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_story_is_the_layers_contract(drawing: ModuleType) -> None:
    told = list(drawing.rooms(hipp_prune.__doc__))
    assert told == [layer for layer in contract() if layer != "__main__"]
    assert len(told) <= 20


def test_every_room_is_told(drawing: ModuleType) -> None:
    package = Path(hipp_prune.__file__).parent
    found = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    assert found - {"__init__", "__main__"} == set(drawing.rooms(hipp_prune.__doc__))


def test_every_folder_says_what_it_is(drawing: ModuleType) -> None:
    for path in Path(hipp_prune.__file__).parent.rglob("__init__.py"):
        assert len(path.read_text(encoding="utf-8").partition("\n")[0]) > 20, path


def test_every_room_says_what_comes_in_and_out_and_what_may_be_changed_alone() -> None:
    for path in Path(hipp_prune.__file__).parent.glob("*/__init__.py"):
        told = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
        assert "may be changed here alone" in told, path
        assert path.parent.name == "experiments" or ("In: " in told and "Out: " in told), path


@pytest.mark.parametrize("name", ["architecture.md", "architecture.svg"])
def test_the_page_is_drawn_from_the_code(drawing: ModuleType, tmp_path: Path, name: str) -> None:
    drawing.write(tmp_path)
    drawn, kept = (folder.joinpath(name).read_text(encoding="utf-8") for folder in (tmp_path, ROOT / "docs"))
    assert drawn == kept, "run `python docs/draw_architecture.py`"


def test_no_two_modules_import_each_other_not_even_for_their_types() -> None:
    graph = grimp.build_graph("hipp_prune", cache_dir=None)
    TopologicalSorter(
        {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    ).prepare()
