"""No traceback reaches a user unasked, whatever is raised."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.cli.entry import parse
from hipp_prune.cli.mishaps import NO_ADDRESS, mishap
from hipp_prune.cli.models import Models
from hipp_prune.errors import InputError

Fail = Callable[[BaseException], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Makes the verb ``models`` fail."""

    def with_error(error: BaseException) -> None:
        def run(_: Models) -> None:
            raise error

        monkeypatch.setattr(Models, "run", run)

    return with_error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ValueError("a\nb"),
            r"unforeseen happened \(ValueError: a b\); .*`hipp-prune models --debug` shows .*report",
        ),
        (AssertionError(), "AssertionError: no more is said"),
        (RecursionError("maximum recursion depth exceeded"), "RecursionError"),
        (MemoryError(), "too little memory .*--dtype bfloat16 needs less"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
            "too little memory .CUDA out of memory",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "too little memory"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y"),
            "/x/y: .*No space left on device; free space",
        ),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x/y"),
            "/x/y: .*Permission denied; change its",
        ),
        (OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), "y"), "choose a shorter name"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (ValueError("x" * 5000), "x…"),
    ],
)
def test_anything_is_one_sentence(
    fail: Fail, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    fail(error)
    mendable = isinstance(error, (OSError, MemoryError, RuntimeError)) and "Recursion" not in said
    assert main(["models"]) == (2 if mendable else 1)
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert len(message) < 1000
    assert "Traceback" not in message
    assert re.search(said, message), message


@pytest.mark.parametrize("words", [["models", "--debug"], ["--debug", "models"]])
def test_the_traceback_is_there_for_whoever_asks(
    fail: Fail, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    fail(ValueError("what happened"))
    assert main(words) == 1
    message = capsys.readouterr().err
    assert "Traceback (most recent call last)" in message
    assert message.splitlines()[-1].startswith("hipp-prune: something unforeseen happened")
    fail(InputError("expected this, found that"))
    assert main(words) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("search run", "--batch-size 32 or --image-memory 0.5 or --dtype bfloat16 needs less"),
        ("calibrate --model m --questions q --out o --batch-size 1 --dtype float16", "end other programs"),
        ("calibrate --model m --questions q --out o --batch-size 6", "--batch-size 3 or --dtype bfloat16"),
        ("report run", "end other programs"),
    ],
)
def test_only_flags_of_the_verb_are_said_to_need_less_memory(line: str, remedy: str) -> None:
    words = line.split()
    sentence, status = mishap(
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), words, parse(words)
    )
    assert status == 2
    assert f"2 GiB); {remedy}" in sentence


def test_a_fault_is_reported_where_the_metadata_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert NO_ADDRESS in mishap(ValueError(), ["models"])[0]
    assert "## Reporting a fault" in Path("CONTRIBUTING.md").read_text(encoding="utf-8")
    told = Message()
    told["Project-URL"] = "Homepage, https://example.org"
    told["Project-URL"] = "Issues, https://example.org/issues"
    monkeypatch.setattr("hipp_prune.cli.mishaps.metadata", lambda _: told)
    assert mishap(ValueError(), ["models"])[0].endswith("please report that at https://example.org/issues")


def test_an_interruption_is_none_of_them(fail: Fail, capsys: pytest.CaptureFixture[str]) -> None:
    fail(KeyboardInterrupt())
    assert main(["models"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_termination_ends_as_an_interruption_does(name: str) -> None:
    code = (
        f"import os, signal, sys\nsignal.signal(signal.{name}, signal.SIG_DFL)  # whatever nohup wishes the suite\n"
        "from hipp_prune.cli import main\nfrom hipp_prune.cli.models import Models\n"
        f"Models.run = lambda _: os.kill(os.getpid(), signal.{name})\nsys.exit(main(['models']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 143
    assert ended.stderr == (
        "hipp-prune: terminated; nothing already computed is lost, run the same command again\n"
    )


def test_a_reader_that_has_gone_is_no_error() -> None:
    command = f"{sys.executable} -m hipp_prune models | head -c 1"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
