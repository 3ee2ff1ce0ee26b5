"""Stages killed anywhere, and gone on with: all must end as one that nobody interrupted."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.torture.children import RENAMES, Ending, run
from tests.torture.outcomes import differences, outcome, unsound
from tests.torture.stages import MINE, Stage, Workshop
from tests.torture.tally import Tally


@dataclass(frozen=True, kw_only=True)
class Kills:
    """How often a stage is killed, at most."""

    renames: int
    """Before a file or a folder takes its name."""
    others: int
    """Before another change of the disk."""
    randomly: int
    """After a random time."""


def kill_stage(stage: Stage, workshop: Workshop, rng: random.Random, kills: Kills) -> Iterator[Tally]:
    """Kills a stage at changes of the disk, and at random, and gives its command again each time.

    Args:
        stage: which.
        workshop: where it is run.
        rng: decides when.
        kills: how often.
    """
    whole, alone = workshop.finished(stage), workshop.ending(stage)
    wanted = outcome([whole / name for name in stage.leaves], whole)
    renames = [number for number, name in enumerate(alone.changes) if name in RENAMES]
    others = [number for number, name in enumerate(alone.changes) if name not in RENAMES]
    for moments, most in ((renames, kills.renames), (others, kills.others)):
        for change in sorted(rng.sample(moments, min(most, len(moments)))):
            when = f"before change {change}, {alone.changes[change]}"
            yield _killed(stage, workshop, wanted, when, kill_at=change)
    for _ in range(kills.randomly):
        seconds = rng.uniform(0, alone.seconds)
        yield _killed(stage, workshop, wanted, f"after {seconds:.2f} s", kill_after=seconds)


def _killed(
    stage: Stage,
    workshop: Workshop,
    wanted: dict[str, object],
    when: str,
    *,
    kill_at: int | None = None,
    kill_after: float | None = None,
) -> Tally:
    folder = workshop.begin(stage)
    first = run(workshop.command(stage), folder, kill_at=kill_at, kill_after=kill_after)
    ending = run(workshop.command(stage), folder)
    found = list(_faults(stage, folder, wanted, ending, finished=not first.killed))
    shutil.rmtree(folder)
    return Tally(
        kind="kills",
        name=stage.name,
        done=int(first.killed),
        faults=[f"{stage.name}, killed {when}: {x}" for x in found],
    )


def _faults(
    stage: Stage, folder: Path, wanted: dict[str, object], ending: Ending, *, finished: bool
) -> Iterator[str]:
    """What is wrong after the same command was given again."""
    complete = "already" in ending.said and not stage.repeats
    if ending.code != 0 and not (ending.code == 2 and complete):
        yield f"given again it ended with {ending.code}: {ending.said.strip()[-300:]}"
        return
    yield from differences(outcome([folder / name for name in stage.leaves], folder), wanted)
    yield from unsound(folder)
    yield from (f"{name} was lost" for name in stage.mine if _text(folder / name) != MINE)


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None
