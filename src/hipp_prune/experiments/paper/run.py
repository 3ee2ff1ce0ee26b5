"""Runs the parts one after the other, and writes what is finished after each: killed at any time, it goes on."""

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from hipp_prune.errors import IncompleteRunError, InputError
from hipp_prune.experiments.compare.cells import Job
from hipp_prune.experiments.compare.run import run_cells, seconds_spent
from hipp_prune.experiments.paper import (
    claims,
    figure2,
    hallucination,
    proxy,
    switches,
    table3,
    table4,
    tables12,
)
from hipp_prune.experiments.paper.part import Part
from hipp_prune.experiments.paper.settings import PaperSettings
from hipp_prune.experiments.paper.tables import paragraphs
from hipp_prune.experiments.settings import CrewSettings
from hipp_prune.files.manifest import start_list
from hipp_prune.files.markdown import Markup, markdown_code, markdown_list, markdown_table
from hipp_prune.files.progress import Say
from hipp_prune.files.ranges import NotNegative
from hipp_prune.files.reading import read_document
from hipp_prune.files.replacing import is_fresh
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.report.grids import Rows
from hipp_prune.stages.settings import LoadSettings

PARTS: tuple[Part, ...] = (
    *tables12.PARTS,
    *table3.PARTS,
    *figure2.PARTS,
    *table4.PARTS,
    *switches.PARTS,
    *proxy.PARTS,
    *hallucination.PARTS,
    *claims.PARTS,
)
"""In the order in which they are run."""


def choose_parts(names: Sequence[str]) -> list[Part]:
    """The parts of these names, in our order; all where none is named.

    Raises:
        InputError: if there is no such part.
    """
    known = {part.name: part for part in PARTS}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"the paper has no part {', '.join(unknown)}; choose from {', '.join(known)}")
    return [part for part in PARTS if not names or part.name in names]


def pages_there(results: Path, parts: Sequence[Part]) -> list[str]:
    """What lies in a folder under the names of the pages of some parts, and of what belongs to them."""
    patterns = ("README.md", *(f"{part.name}.*" for part in parts))
    return sorted(path.name for pattern in patterns for path in results.glob(pattern))


def is_papers(out: Path) -> bool:
    """Whether a folder holds cells of the paper, or nothing yet."""
    return not out.exists() or (
        out.is_dir()
        and (
            is_fresh(out)
            or (out / "times.json").is_file()
            or any(part.folder(out).is_dir() for part in PARTS)
        )
    )


def run_paper(
    out: Path,
    results: Path,
    settings: PaperSettings,
    parts: Sequence[Part],
    *,
    command: str,
    crew: CrewSettings = CrewSettings(),
    loading: LoadSettings = LoadSettings(),
    say: Say,
) -> dict[str, str]:
    """Does what is missing, part by part, and writes every part's page from its finished cells.

    Args:
        out: folder of the cells, to make or to go on in.
        results: folder of the pages.
        settings: how large everything is.
        parts: which of ``PARTS``.
        command: how the pages can be made again, for their head.
        crew: who works, and the time after which the rest is left for the next time.
        loading: how models are loaded.
        say: told a line a job, and the time of each part.

    Returns:
        Why jobs failed, by their names.

    Raises:
        RunError, OutputExistsError, InputError: see ``run_cells``.
    """
    start = time.monotonic()
    failed: dict[str, str] = {}
    for part in (each for each in parts if each.cells(settings)):
        left = None if crew.minutes is None else crew.minutes - (time.monotonic() - start) / 60
        if not part.only_reads and (left is None or left > 0):
            say(f"{part.title} ({part.name})")
            with _timed(out, part, say) as timed_say:
                found = run_cells(
                    part.folder(out),
                    part.cells(settings),
                    part.compare(settings),
                    crew=replace(crew, minutes=left),
                    loading=loading,
                    say=timed_say,
                )
            failed |= {str(job): reason for job, reason in found.items()}
        done, total = write_part(out, results, settings, part)
        write_text(results / "README.md", _index(out, results, settings, command))
        say(f"{part.name}: {done} of {total} cells, {_duration(_times(out).get(part.name, 0.0))}")
    return failed


def write_part(out: Path, results: Path, settings: PaperSettings, part: Part) -> tuple[int, int]:
    """Writes a part's page and what lies beside it from finished cells; returns how many there are, and should be.

    Args:
        out: the comparison's folder, which holds the cells.
        results: folder of the pages.
        settings: which models, budgets and seeds take part.
        part: the table or figure.
    """
    found = part.finished(out, settings)
    total = len(part.cells(settings))
    section = part.section(settings, found)
    start_list(results)
    coverage = "" if len(found) == total else f"**Unfinished: {len(found)} of {total} cells.**"
    write_text(results / f"{part.name}.md", paragraphs(f"# {part.title}", coverage, section.text) + "\n")
    for name, content in section.files.items():
        write_text(results / name, content)
    return len(found), total


@contextmanager
def _timed(out: Path, part: Part, say: Say) -> Iterator[Say]:
    """Adds the time inside to what the part has taken over all runs; of a run that is killed, that up to its last line.

    What it yields passes lines on to ``say``.
    """
    last = time.monotonic()

    def lap() -> None:
        nonlocal last
        now = time.monotonic()
        times = _times(out)
        times[part.name] = times.get(part.name, 0.0) + now - last
        write_json(out / "times.json", times)
        last = now

    def timed_say(line: str) -> None:
        lap()
        say(line)

    try:
        yield timed_say
    finally:
        lap()


def _times(out: Path) -> dict[str, float]:
    path = out / "times.json"
    if not path.exists():
        return {}
    remedy = "delete it, and `hipp-prune paper` counts anew"
    return read_document(path, dict[str, NotNegative], remedy=remedy, error=IncompleteRunError)


def _index(out: Path, results: Path, settings: PaperSettings, command: str) -> str:
    """The head page: command, versions, seeds, and how long each part took."""
    times, work = _times(out), _work(out, settings)
    table: Rows = [("part", "cells", "finished", "one worker's time", "wall time")]
    for part in PARTS:
        if (results / f"{part.name}.md").exists():
            cells, root = part.cells(settings), part.folder(out)
            done = sum(cell.path(root).exists() for cell in cells)
            taken = (_duration(work[part.name]), _duration(times.get(part.name, 0.0)))
            table.append((Markup(f"[{part.title}]({part.name}.md)"), str(len(cells)), str(done), *taken))
    seeds = settings.seed_range(settings.seeds)
    versions = ", ".join(f"{name} {version(name)}" for name in ("hipp-prune", "torch", "transformers"))
    facts = [
        markdown_code(command),
        f"{platform.machine()}, python {platform.python_version()}, {versions}",
        f"{settings.compare.split} split, seeds {seeds[0]} to {seeds[-1]} ({settings.ablation_seeds} of them where "
        "one setting changes at a time); parts share cells, and a cell's time counts for the part that ran it first",
        f"cells and searches took {_duration(sum(work.values()))} of one worker's time, which the workers share; the "
        f"wall time of the runs that noted it is {_duration(sum(times.values()))}",
    ]
    return paragraphs("# The paper, reproduced", markdown_list(facts), markdown_table(table)) + "\n"


def _work(out: Path, settings: PaperSettings) -> dict[str, float]:
    """Seconds of one worker behind each part's finished cells; what parts share counts for the first of them."""
    seen: set[tuple[Path, Job]] = set()
    work = {}
    for part in PARTS:
        root = part.folder(out)
        spent = seconds_spent(root, part.cells(settings), part.compare(settings))
        work[part.name] = sum(seconds for job, seconds in spent.items() if (root, job) not in seen)
        seen |= {(root, job) for job in spent}
    return work


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
