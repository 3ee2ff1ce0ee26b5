"""The verb that starts a run."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hipp_prune.cli.documents import Ended
from hipp_prune.cli.sources import Sources
from hipp_prune.stages.settings import CalibrateSettings, LoadSettings

if TYPE_CHECKING:
    from hipp_prune.stages.outlook import Outlook


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Start a run: measure the dense model (activations, visual sensitivity, gradients).

    Example: hipp-prune calibrate --model toy-llava --questions toyworld --out run
    """

    model: str
    """toy-llava, toy-qwen2.5-vl, a checkpoint folder, or a hub name."""
    questions: Sources
    out: Path
    """Run directory to make."""
    force: bool = False
    """Replace an existing run."""
    dry_run: bool = False
    """Say how long this and all later stages take here, in how much memory, and what would be refused; do nothing."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    settings: CalibrateSettings = CalibrateSettings()
    loading: LoadSettings = LoadSettings()

    def run(self) -> object:
        """Calls ``stages.calibrate``."""
        from hipp_prune.report.terminal import next_steps, print_survey, progress_bars, remark, skipping
        from hipp_prune.stages.calibrate import calibrate

        if self.dry_run:
            return self._look_ahead()
        bars = progress_bars("dense model's answers", "dense model's objects", "calibrating")
        with skipping(self.skip_bad) as skip_bad, bars as (answering, looking, progress):
            calibrate(
                self.model,
                self.questions,
                self.out,
                self.settings,
                loading=self.loading,
                force=self.force,
                skip_bad=skip_bad,
                surveyed=print_survey,
                announce=remark,
                labelling=(answering, looking),
                progress=progress,
            )
        next_steps(f"hipp-prune search {shlex.quote(str(self.out))}")
        return {"run": self.out}

    def _look_ahead(self) -> "Outlook":
        """Calls ``stages.outlook``.

        Raises:
            Ended: with status 2 where something would be refused.
        """
        from hipp_prune.report.terminal import print_outlook
        from hipp_prune.stages.outlook import outlook
        from hipp_prune.stages.work import Work

        work = Work(calibrate=self.settings, skip_bad=self.skip_bad)
        found = outlook(self.model, self.questions, work, loading=self.loading, out=self.out)
        print_outlook(found.table(), found.heading, found.remarks, found.refused, found.warnings)
        if found.refused:
            raise Ended(found, 2)
        return found
