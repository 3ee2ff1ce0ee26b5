"""Two of every writer at once: one does the work, the other says who holds the lock or what is there."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tests.torture.children import Ending, end, start
from tests.torture.outcomes import differences, outcome, unsound
from tests.torture.stages import MINE, Stage, Workshop
from tests.torture.tally import Tally


def pair(stage: Stage, workshop: Workshop, *, delay: float) -> Tally:
    """Starts a stage twice.

    Args:
        stage: which.
        workshop: where it is run.
        delay: seconds between the two.
    """
    whole = workshop.finished(stage)
    wanted = outcome([whole / name for name in stage.leaves], whole)
    folder = workshop.begin(stage)
    begin = time.monotonic()
    first = start(workshop.command(stage), folder, name="first")
    time.sleep(delay)
    second = start(workshop.command(stage), folder, name="second")
    endings = [end(first, folder, begin, name="first"), end(second, folder, begin, name="second")]
    found = [f"{stage.name}, two at once: {fault}" for fault in _faults(stage, folder, wanted, endings)]
    shutil.rmtree(folder)
    return Tally(kind="pairs", name=stage.name, faults=found)


def _faults(stage: Stage, folder: Path, wanted: dict[str, object], endings: list[Ending]) -> Iterator[str]:
    codes = sorted(ending.code for ending in endings)
    refused = [ending.said for ending in endings if ending.code == 2]
    if codes not in ([0, 2], [0, 0] if stage.repeats else [0, 2]):
        yield f"they ended with {codes}: {' / '.join(ending.said.strip()[-200:] for ending in endings)}"
    for said in refused:
        text = " ".join(said.split())
        if "is being written by process" not in text and "already" not in text:
            yield f"one was refused with: {text[-300:]}"
    yield from differences(outcome([folder / name for name in stage.leaves], folder), wanted)
    yield from unsound(folder)
    yield from (f"{name} was lost" for name in stage.mine if (folder / name).read_text() != MINE)
