"""A copy of the package that a test may change, and Python processes that use it."""

import atexit
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import hipp_prune

_WARM = """
import json, os, runpy, sys
import torch, transformers, peft

sys.path[:] = [path for path in sys.path if path]
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        code = 70
        try:
            for number in (1, 2):
                os.dup2(os.open(job["said"][number - 1], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
            os.chdir(job["folder"])
            sys.path.insert(0, job["source"])
            sys.stdin.close()
            sys.argv = job["words"]
            runpy.run_path(sys.argv[0], run_name="__main__")
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            __import__("traceback").print_exc()
            code = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """What came of a process."""

    returncode: int
    stdout: str
    stderr: str


def copy_package(folder: Path) -> Path:
    """Copies the package into ``folder``; the copy's root, which holds ``__init__.py``."""
    source = Path(hipp_prune.__file__).parent
    copy = folder / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def run_python(package: Path, code: str) -> Ended:
    """Runs ``code`` in a fresh interpreter that imports the copy ``package``."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_warm(package: Path, code: str) -> Ended:
    """As ``run_python``, where torch, transformers and peft are imported already: seconds less."""
    script = package.parent / "script.py"
    script.write_text(code, encoding="utf-8")
    return run_script(script, folder=package.parent, source=package.parent)


def run_script(script: Path, *words: str, folder: Path, source: Path) -> Ended:
    """Runs a script with its words in a process forked from one that has imported torch, transformers and peft.

    Args:
        script: what is run as ``__main__``.
        words: its arguments.
        folder: where it runs, and what it says is kept.
        source: what comes first on its ``sys.path``.
    """
    said = [folder / ".stdout", folder / ".stderr"]
    job = {
        "folder": str(folder), "source": str(source), "words": [str(script), *words], "said": list(map(str, said)),
    }  # fmt: skip
    warm = _warm()
    assert warm.stdin is not None
    assert warm.stdout is not None
    print(json.dumps(job), file=warm.stdin, flush=True)
    code = int(warm.stdout.readline())
    return Ended(code, *(path.read_text(encoding="utf-8", errors="replace") for path in said))


@cache
def _warm() -> subprocess.Popen[str]:
    """One for all tests of this process; it ends with it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**inherited, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", _WARM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdin is not None
    atexit.register(process.stdin.close)
    return process
