"""The comparison of search methods, from its settings to its tables."""

from dataclasses import asdict
from pathlib import Path

from hipp_prune.errors import RunError
from hipp_prune.experiments.crew import Say
from hipp_prune.experiments.search_bench.page import search_facts, write_searches
from hipp_prune.experiments.search_bench.run import FULL, BenchSettings, claim, read_results, run_trials
from hipp_prune.experiments.search_bench.verdicts import Score, score_trials
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.stages.loading import DEFAULT_LOADING, LoadSettings
from hipp_prune.stages.runs import calibrate


def bench_search(
    out: Path,
    settings: BenchSettings = FULL,
    *,
    workers: int = 2,
    minutes: float | None = None,
    results: Path | None = None,
    options: LoadSettings = DEFAULT_LOADING,
    say: Say = lambda line: None,  # noqa: ARG005
) -> list[Score]:
    """Compares search methods at equal numbers of evaluations; interrupted, it goes on from its last search.

    Args:
        out: folder to make, and to go on in; ``curves.html`` is written there.
        settings: what is compared.
        workers: processes.
        minutes: time after which it stops.
        results: where ``results.md`` and ``results.csv`` are written; ``out`` by default.
        options: how models are loaded.
        say: told a line a search.

    Raises:
        RunError: if ``out`` is something else, has other settings, a worker died, or a search failed.
    """
    specs = settings.specs(out, **asdict(options))
    claim(out, specs, settings.base)
    for problem, spec in zip(settings.problems, specs.values(), strict=True):
        if spec.run is not None and not RunDirectory(spec.run).calibration.exists():
            say(f"calibrating {problem}")
            calibrate(problem, settings.questions, spec.run, options=options)
    cells = settings.cells(specs)
    failed = run_trials(out, cells, specs, settings.base, workers=workers, minutes=minutes, say=say)
    scores = score_trials(*read_results(out))
    write_searches(out, results or out, scores, search_facts(scores, cells, specs.values()))
    for cell, reason in failed.items():
        raise RunError(f"{len(failed)} of {len(cells)} searches failed, the first, {cell}, with: {reason}")
    return scores
