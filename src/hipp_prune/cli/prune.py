"""The verb that writes a smaller checkpoint."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hipp_prune.errors import InputError
from hipp_prune.files.ranges import NotNegative
from hipp_prune.files.strict import check_settings
from hipp_prune.plans.modes import CompensationChoice
from hipp_prune.stages.settings import LoadSettings, QuerySettings

if TYPE_CHECKING:
    from hipp_prune.checkpoints.pruned import CheckpointReport


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Write the smaller checkpoint that a plan describes; it loads like any other.

    With --elastic one of several plans, which is the dense model too.

    Examples: hipp-prune prune --model toy-llava --plan plan.json --out smaller;
    hipp-prune prune --run run --preference 1,1,1 --uniform --out even;
    hipp-prune prune --run run --elastic --out elastic
    """

    out: Path
    """Checkpoint folder to make."""
    model: str | None = None
    """The model the plan was made for."""
    plan: tuple[Path, ...] = ()
    """A plan file written by query; with --elastic several, or none for all of --run."""
    searched: Annotated[Path | None, tyro.conf.arg(name="run", metavar="RUN")] = None
    """A searched run directory, which is queried first; with --plan, the run of the plan, for its compensation."""
    preference: str | None = None
    """With --run: R,U,C, as for query."""
    compensation: CompensationChoice = "auto"
    """How neurons that stay answer for those that leave; auto: as the plan was evaluated.
    sequential fits block after block on what the pruned ones before it leave, which takes about four passes over the
    calibration questions (docs/compensation.md shows what it gains)."""
    reconstruct: NotNegative = 0.0
    """With sequential: minutes, ≥ 0, that gate, up and down of all blocks are fitted by gradient afterwards."""
    elastic: bool = False
    """Write one checkpoint that is the dense model, its neurons sorted by importance, and all the plans.
    Each plan is a folder in it, e.g. elastic/0.3, which stands wherever a checkpoint does (docs/elastic.md)."""
    loading: LoadSettings = LoadSettings()
    """With bias, sequential and --elastic, which run the model."""
    force: bool = False
    """Replace an existing folder."""
    settings: QuerySettings = QuerySettings()
    """With --run, as for query."""

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calls ``stages.prune`` or ``stages.elastic``."""
        if self.elastic:
            return self._prune_elastic()
        from hipp_prune.checkpoints.ledger import read_savings
        from hipp_prune.report.commands import into_report
        from hipp_prune.report.terminal import console, describe_ledger, next_steps, print_asked

        report = self._prune()
        console.print(report.summary, highlight=False)
        savings = read_savings(self.out)
        assert savings is not None, "prune writes what it saved"
        console.print(describe_ledger(savings.ledger), highlight=False)
        print_asked(savings.notes, savings.ledger)
        if sources := savings.notes.get("sources"):
            words = ["evaluate", "--model", str(self.out), "--questions", *sources]
            next_steps(shlex.join(["hipp-prune", *words, *into_report(self._run_of_plan())]))
        return {"checkpoint": report, "ledger": savings.ledger}

    def _run_of_plan(self) -> Path | None:
        """The run that is named, or else the one that the plan is of, as far as it lies nearby."""
        from hipp_prune.files.outputs import run_of

        if self.searched is not None or not self.plan:
            return self.searched
        found = run_of("plan", self.plan[0])
        return None if found is None else found.root

    def _prune_elastic(self) -> object:
        """By all plans at once."""
        from hipp_prune.checkpoints.ledger import read_savings
        from hipp_prune.files.places import unused_name
        from hipp_prune.report.terminal import next_steps, progress_bar, say
        from hipp_prune.stages.elastic import prune_elastic
        from hipp_prune.stages.prune import run_model

        if not self._one_source() or self.preference or self._asks() or self.reconstruct:
            raise InputError(
                "prune --elastic needs --run RUN, or --model MODEL and --plan FILE …; its plans say what they keep, "
                "and all share gate and up, so leave out --preference, --sparsity and the like, and --reconstruct"
            )
        model = self.model if self.searched is None else run_model(self.searched)
        assert model is not None, "a model or a run is named"
        with progress_bar("prune") as progress:
            report = prune_elastic(
                model, self.plan, self.out, run=self.searched, compensation=self.compensation,
                loading=self.loading, force=self.force, progress=progress,
            )  # fmt: skip
        say(report.summary)
        plan = str(self.out / next(iter(report.plans)))
        savings = read_savings(Path(plan))
        assert savings is not None, "every plan lies beside its weights"
        sources = savings.notes.get("sources") or ["SPEC"]
        next_steps(
            shlex.join(["hipp-prune", "evaluate", "--model", plan, "--questions", *sources]),
            shlex.join(
                ["hipp-prune", "export", plan, "--format", "checkpoint", "--out", unused_name("smaller")]
            ),
        )
        return report

    def _prune(self) -> "CheckpointReport":
        """By a plan, or by what a run answers."""
        from hipp_prune.plans.preference import Preference
        from hipp_prune.report.terminal import progress_bar
        from hipp_prune.stages.prune import prune, prune_searched, run_model

        force, mode, run = self.force, self.compensation, self.searched
        if len(self.plan) > 1:
            raise InputError(
                f"expected one plan, found {len(self.plan)}; add --elastic to write one checkpoint of all"
            )
        if self.plan and self._one_source() and self.preference is None and not self._asks():
            model = self.model if run is None else run_model(run)
            assert model is not None
            with progress_bar("prune") as progress:
                return prune(
                    model, self.plan[0], self.out, run=run, compensation=mode, reconstruct=self.reconstruct,
                    loading=self.loading, force=force, progress=progress,
                )  # fmt: skip
        if run is None or self.preference is None or self.model is not None or self.plan:
            raise InputError(
                "prune needs either --model MODEL or --run RUN and a --plan FILE, or --run RUN and --preference R,U,C "
                "(and, with these, --sparsity, --uniform or --align)"
            )
        preference = Preference.parse(self.preference)
        with progress_bar("prune") as progress:
            return prune_searched(
                run, preference, self.out, self.settings, compensation=mode, reconstruct=self.reconstruct,
                loading=self.loading, force=force, progress=progress,
            )  # fmt: skip

    def _one_source(self) -> bool:
        """Whether a model or a run is named, not both."""
        return (self.model is None) != (self.searched is None)

    def _asks(self) -> bool:
        """Whether something is said about the plan that a run is to answer with."""
        return self.settings != QuerySettings()
