"""The verb that prunes with a heuristic."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hipp_prune.baselines.methods import Baseline
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.files.ranges import Count, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.stages.settings import LoadSettings


@dataclass(frozen=True, kw_only=True)
class PruneBaseline:
    """Prune with a heuristic instead of a search, to the same budget; docs/baselines.md says what each is.

    Examples: hipp-prune baseline --model toy-llava --questions toyworld --method wanda-coupled --sparsity 0.225 --out
    wanda; hipp-prune baseline --run run --method flap --sparsity 0.225 --out flap
    """

    method: Baseline
    """Which one. random draws ratios, random-neurons draws neurons.
    wanda-rows saves nothing; flap adds biases; slicegpt cuts the residual stream."""
    sparsity: Share
    """Fraction to remove, of the MLP parameters or of what --match says."""
    out: Path
    """Checkpoint folder to make; the plan, or the ledger of what is none, is in it."""
    calibrated: Annotated[Path | None, tyro.conf.arg(name="run", metavar="RUN")] = None
    """A calibrated run directory, whose model and calibration sample are used."""
    model: str | None = None
    """Without a run: toy-llava, toy-qwen2.5-vl, a checkpoint folder, or a hub name."""
    questions: tuple[str, ...] = ()
    """Without a run: what calibration questions are drawn from, as for calibrate."""
    count: Count = 128
    """Without a run: calibration questions drawn, ≥ 1."""
    force: bool = False
    """Replace an existing folder."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    settings: BaselineSettings = BaselineSettings()
    loading: LoadSettings = LoadSettings()

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calls ``stages.baseline``."""
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.plans.plan import Plan
        from hipp_prune.report.commands import into_report
        from hipp_prune.report.terminal import (
            console,
            describe_ledger,
            next_steps,
            print_asked,
            print_plan,
            progress_bar,
            skipping,
        )
        from hipp_prune.stages.baseline import baseline

        with skipping(self.skip_bad) as skip_bad, progress_bar("calibrate and fit") as progress:
            planned, report = baseline(
                self.method,
                self.sparsity,
                self.out,
                self.settings,
                run=self.calibrated,
                model=self.model,
                questions=self.questions,
                count=self.count,
                loading=self.loading,
                force=self.force,
                skip_bad=skip_bad,
                progress=progress,
            )
        if isinstance(planned, Plan):
            print_plan(planned, self.out / "plan.json")
        else:
            console.print(describe_ledger(planned.ledger), highlight=False)
            print_asked(planned.notes, planned.ledger)
            console.print(planned.summary, highlight=False)
        if added := planned.notes.get("bias_parameters_added"):
            console.print(f"added: {added:,} parameters, the biases of the down projections", highlight=False)
        console.print(report.summary, highlight=False)
        sources = self.questions
        if self.calibrated is not None:
            sources = RunDirectory(self.calibrated).provenance().questions
        answers = ["--dense", str(self.model)] if self.calibrated is None else into_report(self.calibrated)
        words = ["evaluate", "--model", str(self.out), "--questions", *sources, "--label", self.method]
        next_steps(shlex.join(["hipp-prune", *words, *answers]))
        return {"checkpoint": report, "ledger": planned.ledger, "notes": planned.notes}
