"""The verb that runs all stages on one run directory, with a bar for each and a table at the end."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hipp_prune.files.ranges import Count, Positive, Seed, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.files.watching import Log
from hipp_prune.stages.settings import LoadSettings

if TYPE_CHECKING:
    from hipp_prune.files.run_directory import RunDirectory
    from hipp_prune.plans.preference import Preference
    from hipp_prune.search.settings import SearchSettings
    from hipp_prune.stages.pipeline import Pipeline

PREFERENCES = ("1,0,0", "0,1,0", "1,1,2")
"""Robustness alone, utility alone, and both against compression."""

_ROUND_SECONDS = 6.0
"""That a round of timing all models takes at most, about."""
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
    sparsity: tuple[Share, ...] = ()
    """One model for each of these fractions of the MLP parameters, compensated, instead of one a preference.
    Beside them stands one that loses as much as the smallest, but the same share of every block and uncompensated."""
    evaluations: Count = 400
    """Plans the search evaluates."""
    minutes: Positive | None = None
    """Minutes that this may take in all, > 0; whichever limit comes first."""
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
        """Calibrates, searches, queries, prunes, evaluates, measures and reports."""
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.files.watching import check_log
        from hipp_prune.report.contents import DENSE
        from hipp_prune.report.tables import print_summary
        from hipp_prune.report.terminal import console, next_steps, progress_bars, say
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
            round_seconds=_ROUND_SECONDS,
            log=self.log,
        )
        check_log(self.log)
        pipeline.calibrate()
        pipeline.search(self._search())
        labels = self._at_sparsities(pipeline) if self.sparsity else self._by_preference(pipeline)
        models = {DENSE: self.model, **{name: str(_folder(pipeline, name)) for name in labels}}
        labels = {DENSE: DENSE, **labels}
        scorecards = [
            pipeline.evaluate(model, name=name, label=labels[name], limit=self.limit)
            for name, model in models.items()
        ]
        scorecards = pipeline.with_speedups(scorecards, list(models))
        page = report(self.out)
        print_summary(scorecards, self.out, console)
        say(f"report: {page.resolve().as_uri()}")
        next_steps(
            self._next_query(pipeline.run),
            "hipp-prune auto llava-hf/llava-1.5-7b-hf --questions photos.csv --sparsity 0.3 --out smaller",
        )
        return {"report": page, "scorecards": scorecards}

    def _search(self) -> "SearchSettings":
        """Of what is asked for here; a search that is to know given sparsities looks at them alone."""
        from hipp_prune.search.settings import SearchSettings

        told = SearchSettings(evaluations=self.evaluations, minutes=self.minutes, seed=self.seed)
        if not self.sparsity:
            return told
        return replace(told, s_min=min(self.sparsity), s_max=max(self.sparsity))

    def _by_preference(self, pipeline: "Pipeline") -> dict[str, str]:
        """Makes a checkpoint a preference; their labels by their names."""
        from hipp_prune.stages.query import plan_name, query

        names = []
        for preference in self._preferences(pipeline.run):
            names.append(name := plan_name(preference))
            pipeline.prune(query(pipeline.run.root, preference), _folder(pipeline, name), name=name)
        return {name: name for name in names}

    def _at_sparsities(self, pipeline: "Pipeline") -> dict[str, str]:
        """Makes a compensated checkpoint a sparsity, and a uniform one of the largest; their labels by their names."""
        from hipp_prune.stages.query import plan_name, query
        from hipp_prune.stages.settings import QuerySettings

        labels, plans = {}, {}
        for sparsity in self.sparsity:
            settings = QuerySettings(sparsity=sparsity)
            name = plan_name(None, settings)
            plans[name] = query(pipeline.run.root, settings=settings)
            labels[name] = f"{sparsity:.0%} pruned"
        pipeline.prune_together(plans, partial(_folder, pipeline))
        most = max(self.sparsity)
        pipeline.prune_uniformly(most, _folder(pipeline, "uniform"), name="uniform")
        return {**labels, "uniform": f"uniform {most:.0%}"}

    def _preferences(self, run: "RunDirectory", texts: Sequence[str] = PREFERENCES) -> "list[Preference]":
        """Those of some preferences that the questions can tell apart, without what they do not measure."""
        from hipp_prune.plans.preference import Preference
        from hipp_prune.search.archive import Archive
        from hipp_prune.search.query.roles import measured_part, measured_roles

        measured = measured_roles(Archive(run.search.archive))
        return list(dict.fromkeys(measured_part(Preference.parse(text), measured) for text in texts))

    def _next_query(self, run: "RunDirectory") -> str:
        """A query that this run answers, of the mean of the sparsities that were asked for."""
        preference = str(self._preferences(run, ["2,1,1"])[0])
        sparsity = sum(self.sparsity) / len(self.sparsity) if self.sparsity else 0.3
        asked = ["--preference", preference, "--sparsity", f"{sparsity:g}"]
        return shlex.join(["hipp-prune", "query", str(self.out), *asked])


def _folder(pipeline: "Pipeline", name: str) -> Path:
    return pipeline.run.root / "checkpoints" / name
