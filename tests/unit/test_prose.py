"""The code is told in prose: docstrings that say something, arguments explained, no page too long to read."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import hipp_prune

ROOT = Path(str(hipp_prune.__file__)).parent
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

EMPTY = frozenset(
    re.findall(
        r"\w+",
        """a all an and are as at be both by each every for from had has have how in into is it its of on one only or
        other so such than that the their them they this those to was were what when where which who whose with""",
    )
)
"""Words that say nothing by themselves."""


class Said(NamedTuple):
    """A docstring and what it is of."""

    name: str
    text: str
    function: ast.FunctionDef | ast.AsyncFunctionDef | None


@cache
def modules() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
    }


def documented(node: ast.Module | ast.ClassDef) -> Iterator[Said]:
    """Public functions, classes and attributes that have a docstring, and constructors with that of their class."""
    about = ast.get_docstring(node) or ""
    for before, part in zip([None, *node.body], node.body, strict=False):
        if isinstance(part, FUNCTIONS) and part.name == "__init__":
            yield Said("", f"{about}\n{ast.get_docstring(part) or ''}", part)
        elif isinstance(part, FUNCTIONS) and not part.name.startswith("_"):
            yield Said(part.name, ast.get_docstring(part) or "", part)
        elif isinstance(part, ast.ClassDef) and not part.name.startswith("_"):
            yield Said(part.name, ast.get_docstring(part) or "", None)
            yield from documented(part)
        elif isinstance(part, ast.Expr) and isinstance(before, (ast.AnnAssign, ast.Assign)):
            target = before.target if isinstance(before, ast.AnnAssign) else before.targets[0]
            if isinstance(part.value, ast.Constant) and not ast.unparse(target).startswith("_"):
                yield Said(ast.unparse(target), str(part.value.value), None)


def says_something(name: str, text: str) -> bool:
    """Whether the first paragraph has four words, two that the name has not, or a shape, a formula or a reference."""
    first = text.split("\n\n")[0]
    if re.search(r"[\[\d≥>`%λ]|:class:|:func:", first):
        return True
    words = re.findall(r"[^\W_]+", first.lower())
    told = {word.rstrip("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name.replace("_", " "))}
    told = {word.lower() for word in told} | EMPTY
    new = [word for word in words if word not in told and word.rstrip("s") not in told]
    return len(new) >= 2 or (len(words) >= 4 and len(new) >= 1)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters that a caller gives."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def loops(node: ast.AST) -> int:
    """How many loops of comprehensions stand inside one another, at most."""
    own = len(node.generators) if isinstance(node, COMPREHENSIONS) else 0
    return own + max(map(loops, ast.iter_child_nodes(node)), default=0)


@pytest.mark.parametrize(
    ("name", "text", "good"),
    [
        ("METHODS", "The methods' names.", False),
        ("notes", "How.", False),
        ("features", "Their names.", False),
        ("load_method", "Loads a method.", False),
        ("SearchSettings", "The settings of the search.", False),
        ("correct", "Right answers.", True),
        ("state", "[U, F].", True),
        ("root", "The run's folder.", True),
    ],
)
def test_what_says_something(name: str, text: str, good: bool) -> None:
    assert says_something(name, text) == good


def test_a_docstring_says_more_than_its_name() -> None:
    empty = [
        f"{path}: {said.name}: {said.text}"
        for path, tree in modules().items()
        for said in documented(tree)
        if said.name and said.text and not says_something(said.name, said.text)
    ]
    assert empty == []


def test_four_parameters_are_explained() -> None:
    bare = [
        f"{path}:{said.function.lineno}: {said.function.name}"
        for path, tree in modules().items()
        for said in documented(tree)
        if said.function is not None and parameters(said.function) >= 4 and "Args:\n" not in said.text
    ]
    assert bare == []


def test_no_comprehension_is_nested_three_deep() -> None:
    deep = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, COMPREHENSIONS) and loops(node) >= 3
    ]
    assert deep == []


def test_a_module_has_at_most_four_hundred_lines() -> None:
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {path: count for path, count in lines.items() if count > 400} == {}
