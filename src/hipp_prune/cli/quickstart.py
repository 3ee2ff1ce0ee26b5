"""The verb that runs all stages on one run directory, with a bar for each and a table at the end."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hipp_prune.files.ranges import Count, Seed
from hipp_prune.files.strict import check_settings
from hipp_prune.stages.settings import CalibrateSettings, EvaluateSettings, LoadSettings

if TYPE_CHECKING:
    from hipp_prune.evaluation.scorecard import Scorecard
    from hipp_prune.files.run_directory import RunDirectory
    from hipp_prune.plans.preference import Preference

PREFERENCES = ("1,0,0", "0,1,0", "1,1,2")
"""Robustness alone, utility alone, and both against compression."""

_SPEED_QUESTIONS = 256
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
    loading: LoadSettings = LoadSettings()

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> None:
        """Calibrates, searches, queries three preferences, prunes, evaluates, measures and reports."""
        from hipp_prune.report.tables import print_summary
        from hipp_prune.report.terminal import console, next_steps, say
        from hipp_prune.stages.report import report

        run = self._search()
        scorecards = [self._evaluate(run, self.model, "dense")]
        scorecards += [self._prune(run, preference) for preference in self._preferences(run)]
        scorecards = self._with_speedups(run, scorecards)
        page = report(run.root)
        print_summary(scorecards, console)
        say(f"report: {page.resolve().as_uri()}")
        next_steps(
            "hipp-prune calibrate --model YOUR/MODEL --questions pope:DIR scienceqa:DIR --out run",
            "hipp-prune search run",
            "hipp-prune query run --preference 2,1,1 --sparsity 0.3 --out plan.json",
            "hipp-prune prune --model YOUR/MODEL --plan plan.json --out smaller",
            "hipp-prune evaluate --model smaller --questions pope:DIR scienceqa:DIR",
        )

    def _search(self) -> "RunDirectory":
        """Makes the run, or goes on with it: calibration first, then the search of plans."""
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.report.terminal import progress_bars
        from hipp_prune.search.settings import SearchSettings
        from hipp_prune.stages.search import read_search, search

        settings, run = SearchSettings(evaluations=self.evaluations, seed=self.seed), RunDirectory(self.out)
        if self.force or not self._is_calibrated(run):
            self._calibrate()
        if read_search(run.search, settings, remedy=_OTHERWISE) is None:
            with progress_bars("encode pictures", "search") as (encoding, progress):
                search(run.root, settings, loading=self.loading, encoding=encoding, progress=progress)
        return run

    def _is_calibrated(self, run: "RunDirectory") -> bool:
        """Whether an earlier start of the same settings has finished the calibration.

        Raises:
            RunError: if it had other settings.
        """
        from hipp_prune.files.changes import refuse_changes

        if not (run.manifest.is_file() and run.calibration.is_file()):
            return False
        begun = run.provenance()
        before = {"model": begun.model, "questions": begun.questions, "seed": begun.seed}
        now = {"model": self.model, "questions": self.questions, "seed": self.seed}
        refuse_changes(run.root, before, now, remedy=_OTHERWISE)
        return True

    def _calibrate(self) -> None:
        from hipp_prune.report.terminal import progress_bar
        from hipp_prune.stages.calibrate import calibrate

        sample = CalibrateSettings(seed=self.seed)
        with progress_bar("calibrate") as progress:
            calibrate(
                self.model,
                self.questions,
                self.out,
                sample,
                loading=self.loading,
                force=self.force,
                progress=progress,
            )

    def _preferences(self, run: "RunDirectory") -> "list[Preference]":
        """Those of ``PREFERENCES`` that the questions can tell apart."""
        from hipp_prune.plans.preference import Preference
        from hipp_prune.search.archive import Archive
        from hipp_prune.search.query.roles import measured_part, measured_roles

        measured = measured_roles(Archive(run.search.archive))
        return list(dict.fromkeys(measured_part(Preference.parse(text), measured) for text in PREFERENCES))

    def _prune(self, run: "RunDirectory", preference: "Preference") -> "Scorecard":
        """Queries a preference, writes its checkpoint where that is not there yet, and evaluates it."""
        from hipp_prune.files.replacing import finish_replacement
        from hipp_prune.stages.prune import checkpoint_plan, prune
        from hipp_prune.stages.query import plan_name, query

        checkpoint = run.root / "checkpoints" / plan_name(preference)
        plan = query(run.root, preference)
        finish_replacement(checkpoint)
        written = checkpoint_plan(str(checkpoint)) if checkpoint.is_dir() else None
        wanted = plan.with_compensation(plan.compensation, plan.image_weight)
        if self.force or written is None or written.to_json() != wanted.to_json():
            prune(self.model, plan, checkpoint, run=run.root, force=self.force)
        return self._evaluate(run, str(checkpoint), str(preference))

    def _evaluate(self, run: "RunDirectory", model: str, label: str) -> "Scorecard":
        from hipp_prune.report.terminal import progress_bar
        from hipp_prune.stages.evaluate import evaluate

        settings = EvaluateSettings(limit=self.limit, label=label, seed=self.seed)
        with progress_bar(f"evaluate {label}") as progress:
            return evaluate(
                model, self.questions, settings, loading=self.loading, cache=run.cache, progress=progress
            )

    def _with_speedups(self, run: "RunDirectory", scorecards: "list[Scorecard]") -> "list[Scorecard]":
        """Measures each checkpoint's speed against dense and saves every scorecard in the run."""
        from hipp_prune.report.terminal import progress_bar
        from hipp_prune.stages.evaluate import speedups, update_card

        dense, *pruned = scorecards
        with progress_bar("measure speed") as progress:
            ratios = speedups(
                self.model,
                [scorecard.model for scorecard in pruned],
                self.questions,
                limit=_SPEED_QUESTIONS,
                loading=self.loading,
                cache=run.cache,
                progress=progress,
            )
        measured = [replace(card, speedup=ratio) for card, ratio in zip(pruned, ratios, strict=True)]
        for scorecard in (dense, *measured):
            scorecard.save(run.results / f"{scorecard.label}.json")
        for scorecard in measured:
            update_card(scorecard)
        return [dense, *measured]
