"""Measures how the code is laid out: rooms, arrows, lines, names, and what an installation without extras brings.

Run ``python docs/measure_house.py 3269c6d .`` for a table with a column for each revision, where ``.`` is the working
tree; ``python docs/measure_house.py --query RUN`` for the processor time of a query of a searched run beside that of
``import torch``. Sizes are those of the packages installed beside this Python, where each revision's must be.
"""

import argparse
import ast
import json
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from statistics import median

import grimp
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = "hipp_prune"
BENCHMARKS = re.compile("pope|scienceqa", re.IGNORECASE)
"""The two that knowledge was welded to."""
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def measure(folder: Path) -> dict[str, str]:
    """Every figure of a checkout, by what it is."""
    package = folder / "src" / PACKAGE
    trees = {
        path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }
    lines = {path: len((package / path).read_text(encoding="utf-8").splitlines()) for path in trees}
    return {
        **_imports(),
        "modules": f"{len(trees):,}",
        "lines": f"{sum(lines.values()):,}",
        "longest module, lines": str(max(lines.values())),
        **_functions(list(trees.values())),
        "names defined in more than one module": str(len(_defined_twice(trees))),
        "comprehensions nested three deep": str(sum(map(_deep, trees.values()))),
        "public functions of four or more parameters without `Args:`": str(sum(map(_bare, trees.values()))),
        "modules that name POPE or ScienceQA, outside `questions`": str(_welded(trees)),
        **_installation(folder),
    }


def _imports() -> dict[str, str]:
    """Of the package that is first on the path."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    modules = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    rooms: dict[str, set[str]] = {}
    for module, used in modules.items():
        source, *targets = (_room(name) for name in (module, *used))
        if source:
            rooms.setdefault(source, set()).update(target for target in targets if target not in ("", source))
    return {
        "rooms": str(len(rooms)),
        "arrows between rooms": str(sum(map(len, rooms.values()))),
        "floors": _floors(rooms),
        "modules in a circle": _circles(modules),
    }


def _room(module: str) -> str:
    """The part below the package that a module belongs to; nothing for the package itself and ``__main__``."""
    _, *parts = module.split(".")
    return parts[0] if parts and parts[0] != "__main__" else ""


def _floors(rooms: dict[str, set[str]]) -> str:
    floor: dict[str, int] = {}
    try:
        order = list(TopologicalSorter(rooms).static_order())
    except CycleError as error:
        return f"none: {' → '.join(error.args[1])}"
    for room in order:
        floor[room] = 1 + max((floor[used] for used in rooms[room]), default=0)
    return str(max(floor.values()))


def _circles(modules: dict[str, set[str]]) -> str:
    """Modules that reach themselves; an import within a function counts."""
    reached = {name: set(used) for name, used in modules.items()}
    for middle in reached:
        for used in reached.values():
            if middle in used:
                used |= reached[middle]
    return str(sum(name in used for name, used in reached.items()))


def _functions(trees: list[ast.Module]) -> dict[str, str]:
    lengths = [
        _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node) else 0)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, _FUNCTIONS)
    ]
    return {
        "functions": f"{len(lengths):,}",
        "their lines without docstring: median, longest": f"{median(lengths):g}, {max(lengths)}",
        "longer than 30 lines": f"{sum(length > 30 for length in lengths) / len(lengths):.1%}",
    }


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _defined_twice(trees: dict[str, ast.Module]) -> set[str]:
    """Public names of classes, functions and constants that stand at the top level of more than one module."""
    once: set[str] = set()
    twice: set[str] = set()
    for tree in trees.values():
        names = {name for name in _top_level(tree) if not name.startswith("_")}
        twice |= once & names
        once |= names
    return twice


def _top_level(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, *_FUNCTIONS)):
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _deep(tree: ast.Module) -> int:
    return sum(isinstance(node, _COMPREHENSIONS) and _loops(node) >= 3 for node in ast.walk(tree))


def _loops(node: ast.AST) -> int:
    own = len(node.generators) if isinstance(node, _COMPREHENSIONS) else 0
    return own + max(map(_loops, ast.iter_child_nodes(node)), default=0)


def _bare(node: ast.Module | ast.ClassDef) -> int:
    """Public functions whose parameters a reader has to guess."""
    count = 0
    for part in node.body:
        if isinstance(part, ast.ClassDef) and not part.name.startswith("_"):
            count += _bare(part)
        elif isinstance(part, _FUNCTIONS) and not part.name.startswith("_"):
            given = [*part.args.posonlyargs, *part.args.args, *part.args.kwonlyargs]
            told = "Args:\n" in (ast.get_docstring(part) or "")
            count += not told and len([each for each in given if each.arg not in ("self", "cls")]) >= 4
    return count


def _welded(trees: dict[str, ast.Module]) -> int:
    return sum(
        any(BENCHMARKS.search(text) for text in _literals(tree))
        for path, tree in trees.items()
        if not path.startswith("questions/")
    )


def _literals(tree: ast.Module) -> Iterator[str]:
    """Every string that is no docstring."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def _installation(folder: Path) -> dict[str, str]:
    """What ``pip install .`` brings, as the packages installed here say."""
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = (\[.*?^\])", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    waiting = [(Requirement(each), "") for each in ast.literal_eval(listed[1])]
    sizes: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    while waiting:
        need, extra = waiting.pop()
        if (need.marker and not need.marker.evaluate({"extra": extra})) or (need.name, extra) in seen:
            continue
        seen.add((need.name, extra))
        found = distribution(need.name)
        sizes[found.name.lower().replace("_", "-")] = sum(
            file.locate().stat().st_size  # type: ignore[attr-defined]
            for file in found.files or ()
            if file.suffix != ".pyc" and file.locate().exists()  # type: ignore[attr-defined]
        )
        waiting += [
            (Requirement(each), one) for each in found.requires or () for one in (need.extras or {""})
        ]
    torch = sizes.pop("torch")
    return {
        "packages that `pip install .` brings, torch's own aside": str(len(sizes)),
        "their size": f"{sum(sizes.values()) / 1e6:,.0f} MB",
        "that of torch": f"{torch / 1e6:,.0f} MB",
    }


def checkout(revision: str, folder: Path) -> Path:
    """The sources of a revision, or the working tree for ``.``."""
    if revision == ".":
        return ROOT
    words = ["git", "-C", str(ROOT), "archive", revision, "src", "pyproject.toml"]
    packed = subprocess.run(words, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as files:
        files.extractall(folder, filter="data")
    return folder


def compare(revisions: list[str]) -> str:
    """A Markdown table with a column for each revision; each is measured by a process of its own."""
    columns: list[dict[str, str]] = []
    for revision in revisions:
        with tempfile.TemporaryDirectory() as folder:
            source = checkout(revision, Path(folder))
            environment = {**os.environ, "PYTHONPATH": str(source / "src")}
            words = [sys.executable, __file__, "--folder", str(source)]
            columns.append(
                json.loads(subprocess.run(words, check=True, capture_output=True, env=environment).stdout)
            )
    names = ["here" if revision == "." else f"`{revision}`" for revision in revisions]
    rows = [f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in columns[0]]
    return "\n".join([f"| | {' | '.join(names)} |", "|---|" + "---|" * len(columns), *rows])


def query(run: Path, rounds: int) -> str:
    """Processor seconds of a query and of what it cannot do without, the least of some rounds."""
    asked = [sys.executable, "-m", PACKAGE, "query", str(run), "--preference", "1,1,1"]
    least = [float("inf"), float("inf")]
    for _ in range(rounds):
        for index, words in enumerate(([sys.executable, "-c", "import torch"], asked)):
            least[index] = min(least[index], _seconds(words))
    return f"import torch {least[0]:.2f} s, query {least[1]:.2f} s: {least[1] / least[0]:.2f} ×"


def _seconds(words: list[str]) -> float:
    """User and system time of a process and its own children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("revisions", nargs="*", default=["."], help="of git; . for the working tree")
    parser.add_argument("--folder", type=Path, help="one checkout, as JSON")
    parser.add_argument("--query", type=Path, metavar="RUN", help="time a query of this run instead")
    parser.add_argument("--rounds", type=int, default=5, help="of --query")
    arguments = parser.parse_args()
    if arguments.query:
        print(query(arguments.query, arguments.rounds))  # noqa: T201
    elif arguments.folder:
        print(json.dumps(measure(arguments.folder)))  # noqa: T201
    else:
        print(compare(arguments.revisions))  # noqa: T201


if __name__ == "__main__":
    main()
