"""Kills, doubles and damages what writes, and fuzzes what reads: python -m tests.torture [--quick] [--share 0/1].

Prints a table of what was tried and what went wrong, and every fault; ends with 1 if there was one. ``--share K/N``
does every N-th try, so that N processes do all; ``--json`` keeps the counts for ``--merge``, which writes the table.
"""

import argparse
import json
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import torch

from tests.fuzz.readers import fuzz
from tests.fuzz.seed import Seed
from tests.fuzz.seeds import SEEDS
from tests.torture.damage import damage
from tests.torture.kills import Kills, kill_stage
from tests.torture.pairs import pair
from tests.torture.stages import STAGES, Stage, Workshop
from tests.torture.tally import Tally, table

_QUICK = {"search": Kills(renames=1, others=1, randomly=0), "prune": Kills(renames=1, others=0, randomly=0)}
"""Stages of a short torture."""
_EVERY = 10**6
"""More than any stage has changes."""
_USUAL = Kills(renames=_EVERY, others=_EVERY, randomly=3)
_SLOW = Kills(renames=3, others=1, randomly=1)
"""Stages that take seconds each time."""
_DELAY = 0.2
"""Seconds between two that are started at once, at most."""
_LEAST = 0.2
"""Minutes of fuzzing for each reader, at least."""


def trials(
    root: Path, rng: random.Random, stages: Sequence[Stage], *, quick: bool, last: bool
) -> Iterator[Tally]:
    """Every try of one share, in order.

    Args:
        root: an empty folder.
        rng: decides what is left open.
        stages: the share's.
        quick: a few of each kind.
        last: whether files are damaged too.
    """
    workshop = Workshop(root / "workshop")
    for stage in stages:
        if quick and stage.name not in _QUICK:
            continue
        print(f"{time.strftime('%H:%M:%S')} {stage.name}", file=sys.stderr, flush=True)  # noqa: T201
        yield from kill_stage(
            stage, workshop, rng, _QUICK[stage.name] if quick else _SLOW if stage.slow else _USUAL
        )
        yield pair(stage, workshop, delay=rng.choice((0.0, _DELAY)))
    if last:
        yield from _damaged(workshop, rng, quick=quick)


def _damaged(workshop: Workshop, rng: random.Random, *, quick: bool) -> Iterator[Tally]:
    by_name: dict[str, Stage] = {stage.name: stage for stage in STAGES}
    if quick:
        yield from damage(workshop.begin(by_name["query"]) / "run", rng)
        return
    whole = workshop.begin(by_name["report"])
    for name in ("run", "smaller"):
        yield from damage(whole / name, rng)
    yield from damage(workshop.begin(by_name["export checkpoint"]) / "elastic", rng)


def fuzzed(seeds: Sequence[Seed], rng: random.Random, until: float) -> Iterator[Tally]:
    """What comes of damaged files, a tally a reader.

    Args:
        seeds: the share's.
        rng: decides what is damaged.
        until: moment at which this is to end, of ``time.monotonic``; each reader has a little time in any case.
    """
    left = (until - time.monotonic()) / 60
    minutes = max(_LEAST, left / sum(seed.weight for seed in seeds))
    for seed in seeds:
        print(f"{time.strftime('%H:%M:%S')} fuzzing {seed.name}", file=sys.stderr, flush=True)  # noqa: T201
        end = time.monotonic() + 60 * minutes * seed.weight
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(seed, Path(folder), rng, lambda _, end=end: time.monotonic() < end)
        faults = [f"{seed.name}: {fault}" for fault in (*found.foreign.elements(), *found.wrong.elements())]
        yield Tally(kind="fuzz", name=seed.name, done=found.inputs, faults=faults)


def main() -> int:
    """Does a share, or merges shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a few of each kind, in seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", default="0/1", help="K/N: every N-th stage, from the K-th on")
    parser.add_argument("--stage", help="only this one, and its damage")
    parser.add_argument(
        "--minutes",
        type=float,
        default=28.5,
        help="in all: what is left of them, readers are fuzzed; 0 for none",
    )
    parser.add_argument("--json", type=Path, help="file for the counts")
    parser.add_argument(
        "--merge", type=Path, nargs="+", help="instead of trying: files of counts to make a table of"
    )
    arguments = parser.parse_args()
    if arguments.merge:
        return _merge(arguments.merge)
    torch.set_num_threads(1)
    part, parts = map(int, arguments.share.split("/"))
    begin, tallies = time.monotonic(), []
    with tempfile.TemporaryDirectory() as root:
        rng = random.Random(f"{arguments.seed} {part}")
        stages = [stage for stage in STAGES if arguments.stage in (None, stage.name)]
        mine = [*(stage for stage in stages if not stage.slow)][part::parts]
        mine += [*(stage for stage in stages if stage.slow)][part::parts]
        tries = [trials(Path(root), rng, mine, quick=arguments.quick, last=part == parts - 1)]
        if arguments.minutes and not (arguments.quick or arguments.stage):
            tries.append(fuzzed(SEEDS[part::parts], rng, begin + 60 * arguments.minutes))
        for tally in chain(*tries):
            tallies.append(tally)
            for fault in tally.faults:
                print(fault, flush=True)  # noqa: T201
            if arguments.json:
                _keep(arguments.json, tallies, seed=arguments.seed, minutes=(time.monotonic() - begin) / 60)
    print(table(tallies))  # noqa: T201
    return int(any(tally.faults for tally in tallies))


def _keep(path: Path, tallies: list[Tally], *, seed: int, minutes: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"minutes": minutes, "seed": seed, "tallies": [asdict(tally) for tally in tallies]}
    path.write_text(json.dumps(content))


def _merge(paths: list[Path]) -> int:
    found = [json.loads(path.read_text()) for path in paths]
    tallies = [Tally(**each) for content in found for each in content["tallies"]]
    seeds = sorted({content["seed"] for content in found})
    minutes = max(content["minutes"] for content in found)
    print(table(tallies))  # noqa: T201
    print(  # noqa: T201
        f"`make torture`, seed {', '.join(map(str, seeds))}: {len(paths)} processes, {minutes:.0f} minutes, "
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}."
    )
    faults = [fault for tally in tallies for fault in tally.faults]
    for fault in faults:
        print(f"- {fault}")  # noqa: T201
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
