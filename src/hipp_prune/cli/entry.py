"""Parses the command line, runs a verb, and turns what goes wrong into one sentence."""

import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import make_dataclass
from difflib import get_close_matches
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from hipp_prune import distributed
from hipp_prune.cli.choices import mischosen
from hipp_prune.cli.documents import JSON, Ended, print_document, stdout_kept
from hipp_prune.cli.flags import at_home, misplaced
from hipp_prune.cli.mishaps import mishap
from hipp_prune.cli.numbers import misread
from hipp_prune.cli.recipe import with_recipe
from hipp_prune.cli.verbs import VERBS, Command
from hipp_prune.errors import HippPruneError, InputError

DESCRIPTION = """Make a vision-language model smaller without making it hallucinate.

Start here: hipp-prune quickstart. With your own model: auto, or its stages one by one: calibrate, search, query, prune,
evaluate, report.
`hipp-prune VERB --help` says what a verb takes, with examples; `hipp-prune --version` which version this is;
--debug, after any verb, shows where in the code an error came from; --json prints the result as one JSON document.
"""


DEBUG = "--debug"
"""Shows tracebacks; may stand anywhere."""


class _Terminated(KeyboardInterrupt):
    """A scheduler, `kill` or a terminal that is closed wants the process to end, as Ctrl-C would."""


_ENDING = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""Signals that are heeded as Ctrl-C is; Windows has no second one."""


@contextmanager
def _heeding_termination() -> Iterator[None]:
    """Inside, ``_ENDING`` end the command as Ctrl-C does: temporary files and locks go, and one sentence is said."""

    def stop(*_: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [each for each in _ENDING if signal.getsignal(each) is signal.SIG_DFL]  # nohup has other wishes
    for each in ours:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


class _Remarks(logging.Handler):
    """Prints what stages tell our logger among the remarks."""

    def attach(self) -> None:
        """Listens, from now on."""
        ours = logging.getLogger("hipp_prune")
        ours.setLevel(logging.INFO)
        ours.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one."""
        from hipp_prune.report.terminal import remark

        remark(record.getMessage())


_REMARKS = _Remarks()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments name, and turns errors into a sentence and an exit status.

    Args:
        arguments: without the program's name; ``sys.argv``'s by default.

    Returns:
        Exit status: 0, 2 for an error the user can mend, 1 for one that nobody foresaw, 130 if interrupted, 143 if
        terminated, 141 if whoever read the output has gone.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    _open_closed_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        # as standard error: no terminal is too old for a result
        sys.stdout.reconfigure(errors="backslashreplace")
    _REMARKS.attach()
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = [word for word in given if word not in (DEBUG, JSON)] or ["--help"]
    try:
        if JSON not in given:
            status = _perform(words, debug=DEBUG in given)[1]
            sys.stdout.flush()
            return status
        from hipp_prune.report.terminal import steps_kept

        with stdout_kept(), steps_kept() as steps:
            try:
                result, status = _perform(words, debug=DEBUG in given)
            except SystemExit:  # after help
                result, status = {"verbs": _summaries(words[0])}, 0
        if distributed.speaks():
            print_document(result, steps)
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # what was to be printed does not fit on the disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(*mishap(error, words))[1]


def _open_closed_streams() -> None:
    """Puts nothing behind standard streams that are closed: no file of ours takes a number that others print to."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 (open until the process ends)


def _perform(words: Sequence[str], *, debug: bool) -> tuple[object, int]:
    """Runs the command that the words mean; returns its result, or what went wrong, and the exit status."""
    command: Command | None = None
    try:
        if words == ["--version"]:
            return _print_version(), 0
        command = parse(words)
        with _heeding_termination(), distributed.workers():
            _check_launch(words[0])
            return command.run(), 0
    except Ended as end:
        return end.result, end.status
    except KeyboardInterrupt as stop:
        said, status = ("terminated", 143) if isinstance(stop, _Terminated) else ("interrupted", 130)
        return _fail(f"{said}; nothing already computed is lost, run the same command again", status)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 the last resort: no traceback reaches a user unasked
        if debug:
            traceback.print_exc()
        return _fail(
            *((str(error), 2) if isinstance(error, HippPruneError) else mishap(error, words, command))
        )


def parse(words: Sequence[str]) -> Command:
    """The command that the words mean; prints help, and exits, where they ask for it.

    Raises:
        InputError: if there is no such verb, a flag is unknown or missing, or a value is no such or not in its range.
        SystemExit: after help.
    """
    verb, *flags = words
    _check_text(words)
    if verb in ("-h", "--help"):
        _print_help()
    if verb not in VERBS:
        raise InputError(_unknown(verb))
    command: Any = VERBS[verb].load()
    flags = list(map(at_home, with_recipe(command, list(map(at_home, flags)))))
    preset = getattr(command, "preset", None)
    said = StringIO()
    try:
        with redirect_stderr(said):
            parsed: Command = tyro.cli(
                command,
                prog=f"hipp-prune {verb}",
                args=flags,
                default=preset(flags) if preset else None,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
            )
    except SystemExit as end:
        if not end.code:
            raise
        wrong = (find(command, flags) for find in (misread, mischosen))
        sentence = _ours(end) or misplaced(verb, command, flags) or next(filter(None, wrong), None)
        raise InputError(sentence or f"{_gist(said.getvalue())}; see `hipp-prune {verb} --help`") from end
    if "--questions" in flags and getattr(parsed, "questions", None) == ():
        raise InputError("--questions needs a source of questions, e.g. toyworld, found none; add one")
    return parsed


def _gist(said: str) -> str:
    """What the parser says in its box, as one clause."""
    words = " ".join(re.sub("[\u2500-\u257f]|-{9,}", " ", said).split())
    words = re.sub(r"^Required options Missing from (hipp-prune[\w -]*):", r"\1 needs", words).replace(
        " (required)", ""
    )
    return words.removeprefix("Parsing error ").partition(" For full helptext")[0].rstrip(". ")


def _ours(end: BaseException) -> str | None:
    """What one of our settings objected to, if that is why the parser gave up."""
    cause = end.__context__
    while cause is not None and not isinstance(cause, HippPruneError):
        cause = cause.__context__
    return None if cause is None else str(cause)


def _print_help() -> None:
    """The verbs and what each is for; none of them is imported."""
    verbs = [
        Annotated[
            make_dataclass(verb.name, ()),
            tyro.conf.subcommand(name, prefix_name=False, description=verb.summary),
        ]
        for name, verb in VERBS.items()
    ]
    every: Any = Union[tuple(verbs)]  # noqa: UP007 (made of values)
    tyro.cli(every, prog="hipp-prune", description=DESCRIPTION, args=["--help"])


def _summaries(word: str) -> dict[str, str]:
    """What the verb of that name is for; what every verb is for, if it is none."""
    return {name: VERBS[name].summary for name in ([word] if word in VERBS else VERBS)}


def _print_version() -> dict[str, str]:
    from importlib.metadata import version

    number = version("hipp-prune")
    sys.stdout.write(f"hipp-prune {number}\n")
    return {"version": number}


def _unknown(word: str) -> str:
    """Why a word is no verb, and which one may have been meant."""
    if word.startswith("-"):
        return f"a verb comes before its flags, found {word} first; `hipp-prune --help` lists the verbs"
    near = get_close_matches(word, VERBS, n=1)
    hint = f"did you mean `hipp-prune {near[0]}`?" if near else "`hipp-prune --help` lists them all"
    return f"there is no verb {word!r}; {hint}"


def _check_text(words: Sequence[str]) -> None:
    """Refuses bytes that are no UTF-8: no page, plan or recipe could name what they name."""
    for word in words:
        if not word.isascii() and word != word.encode(errors="replace").decode():
            raise InputError(f"expected names in UTF-8, found {word!r}; rename that file or folder")


def _check_launch(verb: str) -> None:
    """Refuses several workers where one does all the work."""
    if distributed.launched() > 1 and not VERBS[verb].shares:
        shared = " and ".join(name for name, each in VERBS.items() if each.shares)
        raise InputError(
            f"only {shared} share their work among the workers that torchrun starts; start this command without "
            "torchrun"
        )


def _fail(sentence: str, status: int) -> tuple[object, int]:
    """Says what went wrong, once and in one line: of several workers the first one speaks."""
    if distributed.speaks():
        line = "".join(each if each.isprintable() else repr(each)[1:-1] for each in sentence)
        sys.stderr.write(f"hipp-prune: {line}\n")
    return {"error": sentence}, status
