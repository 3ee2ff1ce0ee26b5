"""Ways to prune, compared under one budget, one recovery and one set of questions."""

from collections.abc import Sequence
from pathlib import Path

from hipp_prune.errors import IncompleteRunError, RunError
from hipp_prune.experiments.compare.cell_results import CellResult, read_results
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.experiments.compare.page import TABLES, comparison_facts, write_comparison
from hipp_prune.experiments.compare.run import read_settings, run_cells
from hipp_prune.experiments.compare.settings import DEFAULT_SETTINGS, CompareSettings
from hipp_prune.experiments.settings import CrewSettings
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.progress import Say
from hipp_prune.files.writing import check_results
from hipp_prune.stages.settings import LoadSettings


def compare(
    out: Path,
    cells: Sequence[Cell],
    settings: CompareSettings = DEFAULT_SETTINGS,
    *,
    crew: CrewSettings = CrewSettings(),
    keep: bool = False,
    results: Path | None = None,
    force: bool = False,
    loading: LoadSettings = LoadSettings(),
    say: Say = lambda line: None,  # noqa: ARG005
) -> list[CellResult]:
    """Prunes models in many ways, and asks what is left before and after the same recovery.

    Interrupted, it goes on from its last cell; more cells may be added at any time.

    Args:
        out: folder to make, and to go on in; ``compare.html`` is written there.
        cells: what to prune how; ``schedule`` makes them.
        settings: what all cells share.
        crew: who works, and for how long.
        keep: whether checkpoints stay, in ``out/checkpoints``.
        results: where ``compare.md`` and ``compare.csv`` are written; ``out`` by default.
        force: replaces tables there that we did not write, or that somebody changed.
        loading: how models are loaded.
        say: told a line a job.

    Returns:
        All finished cells of the folder.

    Raises:
        OutputExistsError: if tables are there that we did not write, and ``force`` is false.
        RunError: if ``out`` is something else, has other settings, another process is writing it, a worker died, or a
            cell failed.
        InputError: for bad questions, models or settings; see ``errors``.
    """
    with sole_writer(out), sole_writer(results or out):
        check_results(results or out, TABLES, force=force)
        failed = run_cells(out, cells, settings, crew=crew, keep=keep, loading=loading, say=say)
        found = read_results(out)
        if found:
            tabulate(out, results=results, force=force)
    for job, reason in failed.items():
        raise RunError(f"{len(failed)} of {len(cells)} cells failed, the first, {job}, with: {reason}")
    return found


def tabulate(out: Path, *, results: Path | None = None, force: bool = False) -> list[CellResult]:
    """Writes the tables and the page of a comparison's folder anew, from its answers alone.

    Raises:
        OutputExistsError: if tables are there that we did not write, and ``force`` is false.
        IncompleteRunError: if there is no finished cell.
    """
    settings, found = read_settings(out), read_results(out)
    if not found:
        raise IncompleteRunError(
            f"{out} holds no finished cell yet; run `hipp-prune compare --out {out}` first"
        )
    check_results(results or out, TABLES, force=force)
    write_comparison(results or out, found, comparison_facts(found, settings), page=out / "compare.html")
    return found
