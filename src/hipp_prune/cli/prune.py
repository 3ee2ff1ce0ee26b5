"""The verb that writes a smaller checkpoint."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hipp_prune.errors import InputError
from hipp_prune.stages.settings import QuerySettings

if TYPE_CHECKING:
    from hipp_prune.checkpoints.pruned import CheckpointReport


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Write the smaller checkpoint that a plan describes; it loads like any other.

    Examples: hipp-prune prune --model toy-llava --plan plan.json --out smaller;
    hipp-prune prune --run run --preference 1,1,1 --uniform --out even
    """

    out: Path
    """Checkpoint folder to make."""
    model: str | None = None
    """The model the plan was made for."""
    plan: Path | None = None
    """A plan file written by query."""
    searched: Annotated[Path | None, tyro.conf.arg(name="run", metavar="RUN")] = None
    """Instead of a model and a plan: a searched run directory, which is queried first."""
    preference: str | None = None
    """With --run: R,U,C, as for query."""
    force: bool = False
    """Replace an existing folder."""
    settings: QuerySettings = QuerySettings()
    """With --run, as for query."""

    def run(self) -> None:
        """Calls ``stages.prune``."""
        from hipp_prune.checkpoints.ledger import read_savings
        from hipp_prune.report.terminal import console, describe_ledger, next_steps, print_asked

        report = self._prune()
        console.print(report.summary, highlight=False)
        if (savings := read_savings(self.out)) is not None:
            console.print(describe_ledger(savings.ledger), highlight=False)
            print_asked(savings.notes, savings.ledger)
        next_steps(f"hipp-prune evaluate --model {shlex.quote(str(self.out))} --questions SPEC")

    def _prune(self) -> "CheckpointReport":
        """By a plan, or by what a run answers."""
        from hipp_prune.plans.preference import Preference
        from hipp_prune.report.terminal import progress_bar
        from hipp_prune.stages.prune import prune, prune_searched

        force = self.force
        by_plan, by_run = (self.model, self.plan), (self.searched, self.preference)
        if self.model is not None and self.plan is not None and by_run == (None, None) and not self._asks():
            with progress_bar("writing") as progress:
                return prune(self.model, self.plan, self.out, force=force, progress=progress)
        if self.searched is None or self.preference is None or by_plan != (None, None):
            raise InputError(
                "prune needs either --model MODEL and --plan FILE, or --run RUN and --preference R,U,C (and, with "
                "these, --sparsity, --uniform or --align)"
            )
        preference = Preference.parse(self.preference)
        with progress_bar("writing") as progress:
            return prune_searched(
                self.searched, preference, self.out, self.settings, force=force, progress=progress
            )

    def _asks(self) -> bool:
        """Whether something is said about the plan that a run is to answer with."""
        return self.settings != QuerySettings()
