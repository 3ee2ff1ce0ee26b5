"""What pruning costs, measured cell by cell and written down."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hipp_prune.errors import IncompleteRunError
from hipp_prune.experiments.damage.cells import read_results, schedule
from hipp_prune.experiments.damage.page import FILES, costless_lines, damage_table, search_lines, write_damage
from hipp_prune.experiments.damage.run import DamageRun, check_methods, measure_cells
from hipp_prune.experiments.damage.settings import DamageCompensation, DamageSettings
from hipp_prune.experiments.damage.standings import by_method
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.progress import Say
from hipp_prune.files.reading import read_document
from hipp_prune.files.writing import check_results
from hipp_prune.report.grids import Rows
from hipp_prune.stages.settings import LoadSettings

_AGAIN = "run `hipp-prune damage` with this --out first"


def damage(
    out: Path,
    model: str,
    settings: DamageSettings,
    *,
    methods: Sequence[str],
    budgets: Sequence[float],
    compensations: Sequence[DamageCompensation],
    seeds: Iterable[int],
    minutes: float | None = None,
    loading: LoadSettings = LoadSettings(),
    results: Path | None = None,
    force: bool = False,
    say: Say = lambda line: None,  # noqa: ARG005
) -> tuple[Rows, list[str]]:
    """Measures what is not measured yet, each cell kept in ``out/cells``, and writes it down; see ``write_down``.

    Args:
        out: folder to make, or to go on in.
        model: the dense model.
        settings: what all cells share.
        methods: who prunes.
        budgets: fractions that leave.
        compensations: how neurons that stay answer for the others.
        seeds: of everything that is drawn.
        minutes: after which no further cell is begun.
        loading: how the model is loaded.
        results: where table, numbers and picture are written; ``out`` by default.
        force: replaces files there that we did not write, or that somebody changed.
        say: told a line a cell.

    Raises:
        OutputExistsError: if ``out`` is something else, or files are there that we did not write.
        RunError: if it has other settings, or another process is writing it.
        InputError: for a method that there is not, bad questions or models; see ``errors``.
    """
    check_methods(methods)
    with sole_writer(out), sole_writer(results or out):
        check_results(results or out, FILES, force=force)
        run = DamageRun(out, model, settings, loading, tuple(budgets))
        measure_cells(run, schedule(methods, compensations, budgets, seeds), minutes=minutes, say=say)
        return write_down(out, results=results, force=force)


def write_down(out: Path, *, results: Path | None = None, force: bool = False) -> tuple[Rows, list[str]]:
    """Writes table, numbers and picture anew, and returns the table and what it says in a word.

    Raises:
        OutputExistsError: if files are there that we did not write, and ``force`` is false.
        IncompleteRunError: if there is no finished cell.
    """
    found = read_results(out)
    if not found:
        raise IncompleteRunError(f"{out} holds no finished cell yet; {_AGAIN}")
    folder = results or out
    check_results(folder, FILES, force=force)
    items = read_document(out / "items.json", dict[str, list[int]], remedy=_AGAIN, error=IncompleteRunError)
    told = read_document(out / "damage.json", dict[str, Any], remedy=_AGAIN, error=IncompleteRunError)
    counts = ", ".join(f"{name} {len(numbers)}" for name, numbers in items.items())
    shared = ("dtype", "split", "calibration", "general_share", "evaluations", "preference")
    write_damage(
        folder,
        found,
        items,
        {"model": Path(told["model"]).name, "items": counts, **{name: told[name] for name in shared}},
    )
    rows = by_method(found)
    return damage_table(rows), [*costless_lines(rows, items), *search_lines(rows, items)]
