"""Feeds every reader of files with damaged ones: python -m tests.fuzz.readers --minutes 3 --seed 0 [--reader plans].

A reader may return what its declared types say, or refuse with one of our errors. Counted is everything else: an
exception of another library (or a warning, or twenty seconds without an answer), and a value that was accepted though
the file's or the result's declared type says otherwise. Exits with 1 if anything was.
"""

import argparse
import json
import logging
import random
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
from tests.fuzz.seeds import SEEDS, Seed

_HEADER = f"{'reader':<12}{'inputs':>9}{'accepted':>10}{'foreign exceptions':>20}{'wrong types accepted':>22}"
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
        (folder / name).write_bytes(mutate(sound[name], rng, lines=name.endswith(".jsonl")))
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
    kind = seed.kinds[name]
    if kind is None:
        return
    text = (folder / name).read_text(encoding="utf-8-sig")
    values = [line for line in text.split("\n") if line.strip()] if name.endswith(".jsonl") else [text]
    for value in values:
        if fault := misfit(json.loads(value), kind, foreign=seed.foreign, place=name):
            yield fault
            return


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
    """Fuzzes one reader or all, and prints what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=[seed.name for seed in SEEDS])
    arguments = parser.parse_args()
    logging.disable()
    tallies = {}
    print(_HEADER)  # noqa: T201
    for seed in SEEDS:
        if arguments.reader not in (None, seed.name):
            continue
        end = time.monotonic() + 60 * arguments.minutes
        with TemporaryDirectory() as folder:
            rng = random.Random(f"{seed.name} {arguments.seed}")
            tally = fuzz(seed, Path(folder), rng, lambda _, end=end: time.monotonic() < end)
        tallies[seed.name] = tally
        foreign, wrong = tally.foreign.total(), tally.wrong.total()
        print(f"{seed.name:<12}{tally.inputs:>9,}{tally.accepted:>10,}{foreign:>20,}{wrong:>22,}", flush=True)  # noqa: T201
        for fault, count in [*tally.foreign.most_common(12), *tally.wrong.most_common(12)]:
            print(f"    {count:>5} × {fault}")  # noqa: T201
    total = sum(tally.inputs for tally in tallies.values())
    foreign = sum(tally.foreign.total() for tally in tallies.values())
    wrong = sum(tally.wrong.total() for tally in tallies.values())
    print(f"{'all':<12}{total:>9,}{'':>10}{foreign:>20,}{wrong:>22,}")  # noqa: T201
    return 0 if foreign == wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
