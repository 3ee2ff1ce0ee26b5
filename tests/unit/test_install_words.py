"""While no package index has hipp-prune, nothing tells people to install it by its name; and the container's recipe."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = re.compile(
    r"""(?:\b(?:pip3?|pipx|conda|mamba|uv[ ]add|uv[ ]pip|uv[ ]tool)[ ]+(?:install|add)|\buvx|\bpipx[ ]run)\b
        [^\n`;&|]*?[ '"]hipp[-_]prune(?![\w./-])""",
    re.VERBOSE,
)
"""A command that asks an index for the name: ``./hipp-prune`` and ``git+https://…/hipp-prune`` ask none."""
WRITTEN = {".py", ".md", ".cff", ".toml", ".html", ".ipynb", ".yml"}


def texts() -> Iterator[tuple[str, str]]:
    """Every committed text, and of programs their strings as they are put together."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        if path.suffix in WRITTEN or path.name in ("Dockerfile", "Makefile"):
            text = path.read_text(encoding="utf-8")
            yield name, text
            if path.suffix == ".py":
                yield name, "\n".join(strings(ast.parse(text)))


def strings(tree: ast.Module) -> Iterator[str]:
    """Strings of a program, those that stand side by side as one; what is filled in is ``{}``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def test_nobody_is_told_to_install_a_name_that_is_not_published() -> None:
    assert [(name, found[0]) for name, text in texts() for found in INSTALL.finditer(text)] == []


@pytest.mark.parametrize(
    "words",
    [
        "pip install hipp-prune",
        "pip install --upgrade 'hipp-prune[gguf]'",
        "python -m pip install hipp_prune==0.1.0",
        "pip3 install torch hipp-prune",
        "pipx install hipp-prune",
        "uvx hipp-prune quickstart",
        "uv pip install hipp-prune",
    ],
)
def test_such_words_are_found(words: str) -> None:
    assert INSTALL.search(f"run `{words}` now")


@pytest.mark.parametrize(
    "words",
    [
        "pip install .",
        "pip install '.[gguf]'",
        "pip install git+https://host/owner/hipp-prune",
        "pip install ./hipp-prune",
        "pip install dist/hipp_prune-0.2.0-py3-none-any.whl",
        "pip install . && hipp-prune quickstart",
        "run `pip install gguf` in a clone of hipp-prune",
    ],
)
def test_a_clone_an_address_and_a_wheel_are_not(words: str) -> None:
    assert not INSTALL.search(words)


def test_the_container_copies_what_is_there_and_runs_as_nobody_special() -> None:
    recipe = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        word for line in re.findall(r"^COPY (?!--)(.*) \S+$", recipe, re.MULTILINE) for word in line.split()
    ]
    assert {"pyproject.toml", "constraints.txt", "src", "README.md", "LICENSE"} == set(copied)
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(kept) == set(copied), "what .dockerignore lets through is what the recipe copies"
    assert all((ROOT / name).exists() for name in copied)
    assert re.findall(r"^USER (\S+)$", recipe, re.MULTILINE)[-1] == "10001"
    assert re.search(r"^ARG BASE=\S+$", recipe, re.MULTILINE)
    assert 'ENTRYPOINT ["hipp-prune"]' in recipe
