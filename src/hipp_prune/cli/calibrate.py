"""The verb that starts a run."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from hipp_prune.cli.sources import Sources
from hipp_prune.stages.settings import CalibrateSettings, LoadSettings


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
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    settings: CalibrateSettings = CalibrateSettings()
    loading: LoadSettings = LoadSettings()

    def run(self) -> None:
        """Calls ``stages.calibrate``."""
        from hipp_prune.report.terminal import next_steps, print_survey, progress_bar, remark, skipping
        from hipp_prune.stages.calibrate import calibrate

        with skipping(self.skip_bad) as skip_bad, progress_bar("calibrating") as progress:
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
                progress=progress,
            )
        next_steps(f"hipp-prune search {shlex.quote(str(self.out))}")
