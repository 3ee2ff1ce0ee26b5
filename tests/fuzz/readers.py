"""Feeds every reader of files with damaged ones: python -m tests.fuzz.readers --minutes 3 --seed 0 [--reader plans].

A reader may return what its declared types say, or refuse with one of our errors. Counted is everything else: an
exception of another library (or a warning, or twenty seconds without an answer), and a value that was accepted though
the file's or the result's declared type says otherwise. Exits with 1 if anything was.
"""

import argparse
import json
import logging
import platform
import random
import re
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hipp_prune.errors import HippPruneError
from tests.fuzz.conformity import misfit
from tests.fuzz.mutations import mutate
from tests.fuzz.seed import Seed
from tests.fuzz.seeds import SEEDS

_HEADER = """| reader | inputs | accepted | foreign exceptions | wrong types accepted |
|---|---:|---:|---:|---:|"""
_SHOWN = 40
"""Faults told, the most frequent first."""
_SECONDS = 20
"""For one file; what takes longer hangs."""


class Hang(BaseException):
    """A reader gave no answer; no exception that a reader could take for one of its own."""


@dataclass
class Tally:
    """What came of the inputs of one reader."""

    inputs: int = 0
    accepted: int = 0
    foreign: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    @property
    def sound(self) -> bool:
        """Whether every input was read as declared or refused by one of our errors."""
        return not self.foreign and not self.wrong

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            inputs=self.inputs + other.inputs,
            accepted=self.accepted + other.accepted,
            foreign=self.foreign + other.foreign,
            wrong=self.wrong + other.wrong,
        )


def fuzz(seed: Seed, folder: Path, rng: random.Random, go_on: Callable[[int], bool]) -> Tally:
    """Reads damaged files until told to stop.

    Args:
        seed: valid files, and how they are read.
        folder: where they lie while they are read; empty.
        rng: decides what is damaged.
        go_on: asked before every input, with the number of inputs so far.
    """
    seed.write(folder)
    sound = {name: (folder / name).read_bytes() for name in seed.kinds}
    for name in sound:
        _try(seed, folder, name, Tally(), must_pass=True)
    tally = Tally()
    while go_on(tally.inputs):
        name = rng.choice(list(sound))
        (folder / name).write_bytes(mutate(sound[name], rng, lines=name in seed.lines))
        tally.inputs += 1
        _try(seed, folder, name, tally)
        for each, content in sound.items():
            (folder / each).write_bytes(content)
    return tally


def _try(seed: Seed, folder: Path, name: str, tally: Tally, *, must_pass: bool = False) -> None:
    try:
        with _strict():
            result = seed.read(folder, name)
    except HippPruneError as error:
        if must_pass:
            raise
        text = str(error)
        if "\n" in text or len(text) > 2000:
            tally.wrong[f"no one sentence: {text[:80]!r}"] += 1
    except (Exception, Hang) as error:
        if must_pass:
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        tally.foreign[
            f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {error!s:.80}"
        ] += 1
    else:
        tally.accepted += 1
        for fault in _faults(seed, folder, name, result):
            assert not must_pass, f"{seed.name}: a valid file does not conform: {fault}"
            tally.wrong[fault[:160]] += 1


def _faults(seed: Seed, folder: Path, name: str, result: object) -> Iterator[str]:
    """What is wrong with a result, and with the file that it was read from."""
    if seed.result is not None and (fault := misfit(result, seed.result, place="result")):
        yield fault
    for text in seed.values(name, (folder / name).read_bytes()):
        try:
            value = json.loads(
                text, object_pairs_hook=_object, parse_constant=float if name in seed.foreign else _constant
            )
        except (_UnsoundError, ValueError) as unsound:
            yield f"{name}: {unsound}"
            return
        kind = seed.kinds[name]
        if kind is not None and (fault := misfit(value, kind, foreign=name in seed.foreign, place=name)):
            yield fault
            return


class _UnsoundError(Exception):
    """JSON that should not have been accepted, whatever it says."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise _UnsoundError("a key twice in one object")
    return dict(pairs)


def _constant(text: str) -> float:
    raise _UnsoundError(f"the number {text}")


@contextmanager
def _strict() -> Iterator[None]:
    """Warnings of arithmetic are errors, and nothing takes for ever."""

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Fuzzes one reader or all, and prints what came of it, as a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=[seed.name for seed in SEEDS])
    arguments = parser.parse_args()
    logging.disable()
    command = " ".join(["python -m tests.fuzz.readers", *sys.argv[1:]])
    _say(f"`{command}` (seed {arguments.seed}, {arguments.minutes:g} minutes a reader)")
    _say(f"{_processor()}, Python {platform.python_version()}, one process\n\n{_HEADER}")
    tallies = []
    for seed in SEEDS:
        if arguments.reader in (None, seed.name):
            end = time.monotonic() + 60 * arguments.minutes
            rng = random.Random(f"{seed.name} {arguments.seed}")
            with TemporaryDirectory() as folder:
                tallies.append(fuzz(seed, Path(folder), rng, lambda _, end=end: time.monotonic() < end))
            _say(_row(seed.name, tallies[-1]))
            for fault, count in (tallies[-1].foreign + tallies[-1].wrong).most_common(_SHOWN):
                sys.stderr.write(f"{count:>5} × {seed.name}: {fault}\n")
    total = sum(tallies, Tally())
    _say(_row("all", total))
    return 0 if total.sound else 1


def _row(name: str, tally: Tally) -> str:
    counts = (tally.inputs, tally.accepted, tally.foreign.total(), tally.wrong.total())
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |"


def _processor() -> str:
    """What this machine calls its processor."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.is_file() else []
    return names[0] if names else platform.machine()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
