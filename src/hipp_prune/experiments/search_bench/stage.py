"""The comparison of search methods, from its settings to its tables."""

from pathlib import Path

from hipp_prune.errors import RunError
from hipp_prune.experiments.search_bench.arenas import arena_specs
from hipp_prune.experiments.search_bench.page import TABLES, search_facts, write_searches
from hipp_prune.experiments.search_bench.run import claim, read_results, run_trials
from hipp_prune.experiments.search_bench.settings import FULL, BenchSettings
from hipp_prune.experiments.search_bench.trials import schedule
from hipp_prune.experiments.search_bench.verdicts import TrialScore, score_trials
from hipp_prune.experiments.settings import CrewSettings
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.progress import Say
from hipp_prune.files.replacing import taken_back
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import check_results
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.settings import LoadSettings


def bench_search(
    out: Path,
    settings: BenchSettings = FULL,
    *,
    crew: CrewSettings = CrewSettings(),
    results: Path | None = None,
    force: bool = False,
    loading: LoadSettings = LoadSettings(),
    say: Say = lambda line: None,  # noqa: ARG005
) -> list[TrialScore]:
    """Compares search methods at equal numbers of evaluations; interrupted, it goes on from its last search.

    Args:
        out: folder to make, and to go on in; ``curves.html`` is written there.
        settings: what is compared.
        crew: who works, and for how long.
        results: where ``results.md`` and ``results.csv`` are written; ``out`` by default.
        force: replaces tables there that we did not write, or that somebody changed.
        loading: how models are loaded.
        say: told a line a search.

    Raises:
        OutputExistsError: if tables are there that we did not write, and ``force`` is false.
        RunError: if ``out`` is something else, has other settings, another process is writing it, a worker died, or a
            search failed.
    """
    with sole_writer(out), sole_writer(results or out):
        check_results(results or out, TABLES, force=force)
        return _bench_search(out, settings, crew=crew, results=results or out, loading=loading, say=say)


def _bench_search(
    out: Path,
    settings: BenchSettings,
    *,
    crew: CrewSettings,
    results: Path,
    loading: LoadSettings,
    say: Say,
) -> list[TrialScore]:
    specs = arena_specs(out, settings.problems, split=settings.split, limit=settings.limit, loading=loading)
    with taken_back(out, "bench.json"):
        claim(out, specs, settings.base)
        for problem, spec in zip(settings.problems, specs.values(), strict=True):
            if spec.run is not None and not RunDirectory(spec.run).calibration.exists():
                say(f"calibrating {problem}")
                calibrate(problem, settings.questions, spec.run, loading=loading)
    cells = schedule(tuple(specs), settings.methods, settings.budgets, settings.seeds)
    failed = run_trials(out, cells, specs, settings.base, crew=crew, say=say)
    scores = score_trials(*read_results(out))
    write_searches(out, results, scores, search_facts(scores, cells, specs.values()))
    for cell, reason in failed.items():
        raise RunError(f"{len(failed)} of {len(cells)} searches failed, the first, {cell}, with: {reason}")
    return scores
