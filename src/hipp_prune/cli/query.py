"""The verb that asks a searched run for a plan."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hipp_prune.stages.settings import QuerySettings


@dataclass(frozen=True, kw_only=True)
class Query:
    """Ask a trained run for the plan of a preference, or for the best plan that is predicted to meet requirements.

    Examples: hipp-prune query run --preference 2,1,1 --sparsity 0.3 --out plan.json;
    hipp-prune query run --fit 8GB --context 4096; hipp-prune query run --require pope=0.85 --require sparsity=0.3
    """

    run_directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory that search has finished."""
    preference: str | None = None
    """R,U,C: weights of hallucination robustness, task utility and compression; normalised.
    Without it they count alike (1,1,1) where a sparsity, size or speed is given. With --require it chooses among the
    plans that meet everything; without it, what is not required counts alike."""
    require: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=FRACTION, at least; may be repeated. NAME is a benchmark the run was calibrated on, for its accuracy,
    or a saving: sparsity, mlp, block, language, model, flops, latency.
    An accuracy is met if the lower end of its predicted 90% interval is."""
    out: Path | None = None
    """Plan file; RUN/plans/… by default."""
    force: bool = False
    """Replace another file that is there."""
    settings: QuerySettings = QuerySettings()

    def run(self) -> object:
        """Calls ``stages.query``."""
        from hipp_prune.files.places import unused_name
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.plans.preference import Preference
        from hipp_prune.report.terminal import next_steps, print_plan, remark
        from hipp_prune.search.query.requirements import Requirement
        from hipp_prune.stages.query import plan_path, query

        preference = None if self.preference is None else Preference.parse(self.preference)
        requirements = [Requirement.parse(text) for text in self.require]
        run = RunDirectory(self.run_directory)
        out = self.out or plan_path(run, preference, self.settings, requirements)
        plan = query(
            self.run_directory,
            preference,
            self.settings,
            requirements=requirements,
            out=out,
            force=self.force,
        )
        if preference is None:
            remark(f"no --preference: the plan answers {plan.preference}")
        print_plan(plan, out)
        words = ["prune", "--run", str(run.root), "--plan", str(out), "--out", unused_name("smaller")]
        next_steps(shlex.join(["hipp-prune", *words]))
        return {"plan": out, **plan.document()}
