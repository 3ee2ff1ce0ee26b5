"""The paper's tables and figures, made again."""

from collections.abc import Sequence
from pathlib import Path

from hipp_prune.errors import OutputExistsError, RunError
from hipp_prune.experiments.paper.run import choose_parts, is_papers, pages_there, run_paper
from hipp_prune.experiments.paper.settings import FULL, PaperSettings
from hipp_prune.experiments.settings import CrewSettings
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.places import described
from hipp_prune.files.progress import Say
from hipp_prune.files.replacing import taken_back
from hipp_prune.files.writing import check_results
from hipp_prune.stages.settings import LoadSettings


def paper(
    out: Path,
    results: Path,
    settings: PaperSettings = FULL,
    *,
    parts: Sequence[str] = (),
    force: bool = False,
    command: str = "hipp-prune paper",
    crew: CrewSettings = CrewSettings(),
    loading: LoadSettings = LoadSettings(),
    say: Say = lambda line: None,  # noqa: ARG005
) -> None:
    """Runs the paper's parts on both embedded models; interrupted, it goes on from its last cell.

    Args:
        out: folder of all cells, to make or to go on in.
        results: folder of the pages, a page a part.
        settings: how large everything is; ``QUICK`` shows that it runs.
        parts: names of those to run; all by default.
        force: replaces pages in ``results`` that we did not write, or that somebody changed.
        command: what the pages say they were made with.
        crew: who works, and for how long.
        loading: how models are loaded.
        say: told a line a job, and the time of each part.

    Raises:
        InputError: if there is no such part.
        OutputExistsError: if ``out`` is something else, or pages are in ``results`` that we did not write and
            ``force`` is false.
        RunError: if ``out`` holds cells of other settings, another process is writing it, a worker died, or a job
            failed.
    """
    if (found := described(out)) is not None:
        raise OutputExistsError(f"expected a folder for the paper's cells, but {found}; choose another --out")
    if not is_papers(out):
        raise OutputExistsError(f"{out} is there but holds no cells of the paper; choose another --out")
    chosen = choose_parts(parts)
    with sole_writer(out), sole_writer(results), taken_back(out, "times.json"):
        check_results(results, pages_there(results, chosen), force=force)
        failed = run_paper(
            out,
            results,
            settings,
            chosen,
            command=command,
            crew=crew,
            loading=loading,
            say=say,
        )
    for job, reason in failed.items():
        raise RunError(f"{len(failed)} jobs failed, the first, {job}, with: {reason}")
