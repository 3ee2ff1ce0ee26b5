"""The verb that runs all stages on one run directory, with a bar for each and a table at the end."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hipp_prune.files.ranges import Count, Seed
from hipp_prune.files.strict import check_settings
from hipp_prune.files.watching import Log
from hipp_prune.stages.settings import LoadSettings

if TYPE_CHECKING:
    from hipp_prune.evaluation.scorecard import Scorecard
    from hipp_prune.files.run_directory import RunDirectory
    from hipp_prune.plans.preference import Preference
    from hipp_prune.stages.pipeline import Pipeline

PREFERENCES = ("1,0,0", "0,1,0", "1,1,2")
"""Robustness alone, utility alone, and both against compression."""

_OTHERWISE = "choose another --out, or add --force to start over"


@dataclass(frozen=True, kw_only=True)
class Quickstart:
    """See it all on an embedded model in minutes: calibrate, search, query, prune, evaluate, report.

    Interrupted or killed, it goes on from its last evaluation when started again.

    Example: hipp-prune quickstart --out demo
    """

    out: Path = Path("demo")
    """Run directory to make."""
    model: str = "toy-llava"
    """toy-llava, toy-qwen2.5-vl, or a model of your own."""
    questions: tuple[str, ...] = ("toyworld",)
    """Where questions come from, as for calibrate."""
    evaluations: Count = 400
    """Plans the search evaluates."""
    limit: Count = 600
    """Test questions a benchmark."""
    seed: Seed = 0
    """Of the splits, the calibration sample and the search."""
    force: bool = False
    """Replace an existing run, also one of other settings."""
    log: Log = "auto"
    """What can be watched meanwhile, `tensorboard --logdir OUT`; auto: that, where the package is installed."""
    loading: LoadSettings = LoadSettings()

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calibrates, searches, queries three preferences, prunes, evaluates, measures and reports."""
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.files.watching import check_log
        from hipp_prune.report.contents import DENSE
        from hipp_prune.report.tables import print_summary
        from hipp_prune.report.terminal import console, next_steps, progress_bars, say
        from hipp_prune.search.settings import SearchSettings
        from hipp_prune.stages.pipeline import Pipeline
        from hipp_prune.stages.report import report

        pipeline = Pipeline(
            run=RunDirectory(self.out),
            model=self.model,
            questions=self.questions,
            seed=self.seed,
            loading=self.loading,
            anew="always" if self.force else "never",
            otherwise=_OTHERWISE,
            bars=progress_bars,
            log=self.log,
        )
        check_log(self.log)
        pipeline.calibrate()
        pipeline.search(SearchSettings(evaluations=self.evaluations, seed=self.seed))
        scorecards = [pipeline.evaluate(self.model, name=DENSE, label=DENSE, limit=self.limit)]
        scorecards += [self._prune(pipeline, preference) for preference in self._preferences(pipeline.run)]
        scorecards = pipeline.with_speedups(scorecards, [card.label for card in scorecards])
        page = report(self.out)
        print_summary(scorecards, self.out, console)
        say(f"report: {page.resolve().as_uri()}")
        next_steps(
            shlex.join(["hipp-prune", "query", str(self.out), "--preference", "2,1,1", "--sparsity", "0.3"]),
            "hipp-prune auto llava-hf/llava-1.5-7b-hf --questions photos.csv --sparsity 0.3 --out smaller",
        )
        return {"report": page, "scorecards": scorecards}

    def _preferences(self, run: "RunDirectory") -> "list[Preference]":
        """Those of ``PREFERENCES`` that the questions can tell apart."""
        from hipp_prune.plans.preference import Preference
        from hipp_prune.search.archive import Archive
        from hipp_prune.search.query.roles import measured_part, measured_roles

        measured = measured_roles(Archive(run.search.archive))
        return list(dict.fromkeys(measured_part(Preference.parse(text), measured) for text in PREFERENCES))

    def _prune(self, pipeline: "Pipeline", preference: "Preference") -> "Scorecard":
        """Queries a preference, writes its checkpoint where that is not there yet, and evaluates it."""
        from hipp_prune.stages.query import plan_name, query

        name = plan_name(preference)
        checkpoint = pipeline.run.root / "checkpoints" / name
        pipeline.prune(query(pipeline.run.root, preference), checkpoint, name=name)
        return pipeline.evaluate(str(checkpoint), name=name, label=name, limit=self.limit)
