"""No name twice with two meanings: what two modules define under one name is listed here, with the reason."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import hipp_prune
from hipp_prune.questions.benchmark import Benchmark

ROOT = Path(str(hipp_prune.__file__)).parent

SHARED = {
    "members of a table: every module of a folder defines them": {
        "BENCHMARK", "FAMILY", "SETTINGS", "plan", "search", "only_neurons", "refuse_model", "whole_neurons", "PARTS",
        "cells", "section", "INSTRUCTION",
    },
    "a stage, a verb, and what they do are called alike": {
        "calibrate", "train", "main",
    },
    "one thing of two experiments": {
        "TABLES", "markdown", "to_csv", "read_results", "schedule", "claim", "FULL", "QUICK", "SEARCHES", "MEASURES",
    },
    "one thing, said in two rooms": {"DENSE", "LARGEST_GRADIENT"},
    "a criterion and a verb, as users call them": {"paper"},
    "a type variable": {"Kind"},
}  # fmt: skip
"""By reason."""

FIELDS = {field.name for field in fields(Benchmark)}
"""What a benchmark's module defines under the name that the table has for it."""


def public_names(tree: ast.Module) -> Iterator[str]:
    """What a module defines at its top level for others."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_a_name_is_defined_once() -> None:
    where: dict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        for name in public_names(ast.parse(path.read_text(encoding="utf-8"))):
            if not name.startswith("_"):
                where[name].add(path.relative_to(ROOT).as_posix())
    twice = {name: sorted(paths) for name, paths in where.items() if len(paths) > 1}
    allowed = set().union(*SHARED.values())
    assert {name: paths for name, paths in twice.items() if name not in allowed | FIELDS} == {}
    assert allowed <= twice.keys(), "these are defined once now, and need no reason"


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest cannot collect them in one process."""
    paths = [
        path
        for path in Path(__file__).parents[1].rglob("test_*.py")
        if not (path.parent / "__init__.py").exists()
    ]
    twice = {path.name for path in paths if [each.name for each in paths].count(path.name) > 1}
    assert twice == set()
