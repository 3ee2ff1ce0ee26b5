"""The verb that trains a pruned checkpoint back."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hipp_prune.cli.sources import SOURCES
from hipp_prune.files.watching import Log
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.stages.settings import FULL_PRECISION, LoadSettings


@dataclass(frozen=True, kw_only=True)
class Recover:
    """Fine-tune a pruned checkpoint briefly: head, final norm, projector, and LoRA on the last blocks.

    Widths and masks stay as they are. Interrupted or killed, it goes on from its last saved state when started again.

    Example: hipp-prune recover smaller --out recovered --questions toyworld --steps 200
    """

    checkpoint: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CKPT")]
    """A checkpoint that prune wrote, or any other model."""
    out: Path
    """Checkpoint folder to make."""
    questions: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            help=f"{SOURCES} Only their recovery split is asked; give the --seed of the run, which decides the splits."
        ),
    ]
    teacher: str | None = None
    """The dense model, to distill its answers too."""
    keep_adapter: bool = False
    """Keep LoRA apart too, as a PEFT adapter in OUT/adapter that fits CKPT."""
    force: bool = False
    """Replace an existing folder, and start an interrupted recovery over."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    log: Log = "auto"
    """What can be watched meanwhile, `tensorboard --logdir OUT-tensorboard`; auto: that, where the package is
    installed."""
    settings: RecoverySettings = RecoverySettings()
    loading: LoadSettings = FULL_PRECISION

    def run(self) -> object:
        """Calls ``stages.recover``."""
        from hipp_prune.files.replacing import beside
        from hipp_prune.files.watching import watching
        from hipp_prune.report.terminal import next_steps, progress_bars, say, skipping
        from hipp_prune.stages.recover import recover

        events = beside(self.out, "-tensorboard") / "recovery"
        with (
            skipping(self.skip_bad) as skip_bad,
            watching(events, self.log, anew=self.force),
            progress_bars("encoding pictures", "recovering") as (encoding, progress),
        ):
            report = recover(
                self.checkpoint,
                self.questions,
                self.out,
                self.settings,
                teacher=self.teacher,
                keep_adapter=self.keep_adapter,
                loading=self.loading,
                force=self.force,
                skip_bad=skip_bad,
                encoding=encoding,
                progress=progress,
            )
        say(report.summary)
        questions = " ".join(shlex.quote(source) for source in self.questions)
        next_steps(f"hipp-prune evaluate --model {shlex.quote(str(self.out))} --questions {questions}")
        return report
