"""The verb that does all stages for one target."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hipp_prune.cli.documents import Ended
from hipp_prune.cli.sources import Sources
from hipp_prune.files.watching import Log
from hipp_prune.stages.settings import AutoSettings, LoadSettings, QuerySettings

if TYPE_CHECKING:
    from hipp_prune.stages.outlook import Outlook
    from hipp_prune.stages.wish import Wish


@dataclass(frozen=True, kw_only=True)
class Auto:
    """Make your model smaller by one command: calibrate, search, query, prune, recover, evaluate, report.

    What can be refused is refused before a weight is read. Killed at any moment, the same command goes on where it was.

    Examples: hipp-prune auto toy-llava --questions toyworld --sparsity 0.3 --out smaller;
    hipp-prune auto llava-hf/llava-1.5-7b-hf --questions pope:POPE/coco scienceqa:ScienceQA --fit 10GB --context 4096
    --preference 2,1,1 --recover --device cuda --out smaller
    """

    model: tyro.conf.Positional[str]
    """toy-llava, toy-qwen2.5-vl, a checkpoint folder, or a hub name."""
    questions: Sources
    out: Path
    """Checkpoint folder to make."""
    directory: Annotated[Path | None, tyro.conf.arg(name="run", metavar="RUN")] = None
    """Run directory to make, or to go on with; OUT-run by default.
    Another target or preference in the same run needs no other search."""
    preference: str | None = None
    """R,U,C: weights of hallucination robustness, task utility and compression; 1,1,1 by default, as for query."""
    require: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=FRACTION, at least, e.g. pope=0.85; may be repeated, and added to --fit. As for query."""
    recipe: Path | None = None
    """TOML file of these flags, a line each (evaluations = 800); flags given beside it override it.
    RUN/recipe.toml has all of a run."""
    force: bool = False
    """Replace a checkpoint in OUT, and start over what the run began with other settings."""
    dry_run: bool = False
    """Say how long each stage takes here, in how much memory, on what, and what would be refused; do nothing."""
    log: Log = "auto"
    """What can be watched meanwhile, `tensorboard --logdir RUN`; auto: that, where the package is installed."""
    target: QuerySettings = QuerySettings()
    settings: AutoSettings = AutoSettings()
    loading: LoadSettings = LoadSettings()

    @property
    def wish(self) -> "Wish":
        """The flags, checked together."""
        from hipp_prune.files.replacing import beside
        from hipp_prune.plans.preference import Preference
        from hipp_prune.search.query.requirements import Requirement
        from hipp_prune.stages.wish import Wish

        return Wish(
            model=self.model,
            questions=self.questions,
            out=self.out,
            run=self.directory or beside(self.out, "-run"),
            preference=None if self.preference is None else Preference.parse(self.preference),
            requirements=tuple(Requirement.parse(text) for text in self.require),
            target=self.target,
            settings=self.settings,
            loading=self.loading,
        )

    def run(self) -> object:
        """Calls ``stages.auto``."""
        from hipp_prune.report.terminal import note_steps, print_survey, progress_bars, remark, say, skipping
        from hipp_prune.stages.auto import auto
        from hipp_prune.stages.summary import commands_in

        if self.dry_run:
            return self._look_ahead()
        with skipping(self.settings.skip_bad) as skip_bad:
            outcome = auto(
                self.wish,
                force=self.force,
                skip_bad=skip_bad,
                surveyed=print_survey,
                announce=remark,
                bars=progress_bars,
                log=self.log,
            )
        if self.preference is None:
            remark(f"no --preference: the plan answers {outcome.plan.preference}")
        say(outcome.summary.rstrip())
        note_steps(*commands_in(outcome.summary))
        say(f"report: {outcome.report.resolve().as_uri()}")
        return outcome

    def _look_ahead(self) -> "Outlook":
        """Calls ``stages.ahead``.

        Raises:
            Ended: with status 2 where something would be refused.
        """
        from hipp_prune.report.terminal import print_outlook
        from hipp_prune.stages.ahead import look_ahead

        found = look_ahead(self.wish, force=self.force)
        print_outlook(found.table(), found.heading, found.remarks, found.refused, found.warnings)
        if found.refused:
            raise Ended(found, 2)
        return found
