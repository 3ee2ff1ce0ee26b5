"""``CONTRIBUTING.md`` works: every walk is carried out in a copy of the repository, and its commands succeed."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.package_copy import run_script

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of Python: where it goes, and its lines."""

    file: str
    place: str
    """``new``, ``after NAME`` or ``in NAME``."""
    text: str

    @staticmethod
    def of(code: str) -> "Block":
        header, text = code.split("\n", 1)
        match = re.fullmatch(r"# (\S+), (new|after \w+|in \w+)", header)
        assert match, f"expected '# FILE, new', '# FILE, after NAME' or '# FILE, in NAME', found {header!r}"
        return Block(file=match[1], place=match[2], text=text)

    def put(self, root: Path) -> None:
        """Makes the change in a copy of the repository."""
        path = root / self.file
        if self.place == "new":
            assert not path.exists()
            path.write_text(self.text, encoding="utf-8")
            return
        where, name = self.place.split()
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines(keepends=True)
        end = next(node.end_lineno for node in ast.parse(source).body if name in names(node))
        at, text = (end, f"\n\n{self.text}") if where == "after" else (end - 1, self.text)
        path.write_text("".join([*lines[:at], text, *lines[at:]]), encoding="utf-8")


def names(node: ast.stmt) -> set[str]:
    """What a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A section: what it adds, and the commands that show that it works."""

    title: str
    blocks: list[Block]
    commands: list[str]

    @staticmethod
    def of(section: str) -> "Walk":
        title, text = section.split("\n", 1)
        fenced = re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        return Walk(
            title=title,
            blocks=[Block.of(code) for language, code in fenced if language == "python"],
            commands=[line for language, code in fenced if language == "sh" for line in code.splitlines()],
        )

    @property
    def files(self) -> list[str]:
        return sorted({block.file for block in self.blocks})


WALKS = [Walk.of(section) for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]]


def lint(command: str, files: list[str], root: Path) -> None:
    words = [sys.executable, "-m", "ruff", *command.split(), *files]
    done = subprocess.run(words, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ruff {command}\n{done.stdout}{done.stderr}"


def run(command: str, root: Path) -> None:
    program, *words = shlex.split(command)
    assert program == "pytest", f"a walk is shown to work by pytest, found {program}"
    words += [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]  # transformers has imported a package with fixtures
    done = run_script(Path(pytest.__file__).parent / "__main__.py", *words, folder=root, source=root / "src")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_there_are_five_walks() -> None:
    assert len(WALKS) == 5


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.title)
def test_a_walk_touches_two_files_and_works(walk: Walk, tmp_path: Path) -> None:
    assert [file.split("/")[0] for file in walk.files] == ["src", "tests"]
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for block in walk.blocks:
        block.put(tmp_path)
    lint("format --check", walk.files, tmp_path)
    lint("check", walk.files, tmp_path)
    assert walk.commands
    for command in walk.commands:
        run(command, tmp_path)
