"""The verb that compares searchers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from hipp_prune.experiments.search_bench.settings import FULL, QUICK, BenchSettings
from hipp_prune.experiments.settings import CrewSettings, require_extra
from hipp_prune.stages.settings import LoadSettings

_QUICK_MINUTES = 14


@dataclass(frozen=True, kw_only=True)
class BenchSearch:
    """Compare search methods at equal numbers of evaluations, on held-out questions.

    Interrupted or killed, it goes on from its last search when started again.

    Example: hipp-prune bench-search --out bench --quick
    """

    out: Path
    """Folder to make, and to go on in; curves.html is written there."""
    quick: bool = False
    """Budgets 100 and 250, 2 seeds, 100 held-out questions a benchmark, 14 minutes, where not told otherwise."""
    results: Path | None = None
    """Where results.md and results.csv are written; OUT by default."""
    force: bool = False
    """Replace tables there that hipp-prune did not write, or that somebody changed."""
    settings: BenchSettings = FULL
    crew: CrewSettings = CrewSettings()
    loading: LoadSettings = LoadSettings()

    @classmethod
    def preset(cls, words: Sequence[str]) -> "BenchSearch":
        """What ``--quick`` stands for."""
        if "--quick" not in words:
            return cls(out=tyro.MISSING)
        return cls(out=tyro.MISSING, settings=QUICK, crew=CrewSettings(minutes=_QUICK_MINUTES))

    def run(self) -> object:
        """Calls ``search_bench.stage.bench_search``, and prints who searched best."""
        require_extra("bench-search", *self.settings.methods)
        from hipp_prune.experiments.search_bench.page import results_tables, verdict_lines
        from hipp_prune.experiments.search_bench.stage import bench_search
        from hipp_prune.experiments.search_bench.verdicts import entries
        from hipp_prune.report.terminal import print_table, remark, say

        scores = bench_search(
            self.out,
            self.settings,
            crew=self.crew,
            results=self.results,
            force=self.force,
            loading=self.loading,
            say=remark,
        )
        tables, lines = results_tables(scores, brief=True), verdict_lines(entries(scores))
        for problem, rows in tables.items():
            print_table(f"{problem}: median ± std over seeds", rows)
        for line in lines:
            say(line)
        say(f"curves: {(self.out / 'curves.html').resolve().as_uri()}")
        return {"tables": tables, "verdicts": lines}
