"""A copy of the package that a test may change, and Python processes that use it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import hipp_prune


def copy_package(folder: Path) -> Path:
    """Copies the package into ``folder``; the copy's root, which holds ``__init__.py``."""
    source = Path(hipp_prune.__file__).parent
    copy = folder / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def run_python(package: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` in a fresh interpreter that imports the copy ``package``."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment
    )
