"""A preference or requirements, answered with a plan; neither the model nor transformers is needed."""

from collections.abc import Sequence
from pathlib import Path

from hipp_prune.errors import InputError
from hipp_prune.files.outputs import list_output
from hipp_prune.files.run_directory import RunDirectory, SearchFolder
from hipp_prune.files.writing import write_output
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.search.archive import Archive
from hipp_prune.search.query.forecast import known_forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.query.requirements import Requirement, meet_requirements
from hipp_prune.search.query.roles import check_preference, measured_roles
from hipp_prune.search.query.uniform import best_uniform
from hipp_prune.stages.settings import QuerySettings


def query(
    run: Path,
    preference: Preference | None = None,
    settings: QuerySettings = QuerySettings(),
    *,
    requirements: Sequence[Requirement] = (),
    out: Path | None = None,
    force: bool = False,
) -> Plan:
    """The plan a run's policy answers a preference with; also written to ``out``, or into the run's ``plans``.

    Args:
        run: a searched run directory.
        preference: what counts how much; may be left out where there are requirements.
        settings: sparsity, and which widths a plan may have.
        requirements: lower bounds on accuracies and savings; the answer is the best plan that is predicted to meet
            all of them.
        out: the plan file; one that says the same may be there already.
        force: replaces another file that is there.

    Raises:
        OutputExistsError: if another file is there and ``force`` is false.
        IncompleteRunError: if the run has not been searched.
        RunError: if what it evaluated was compensated otherwise than its policy was trained for.
        BudgetError: if the box does not allow the sparsity or the alignment.
        PreferenceError: if the preference weighs a role that the run's questions do not measure.
        RequirementError: if no plan is predicted to meet the requirements, saying what is attainable.
        InputError: if neither preference nor requirements are given, or a requirement cannot be judged.
    """
    directory = RunDirectory(run)
    directory.provenance()
    path = directory.require(directory.search.planner, made_by=f"hipp-prune search {run}")
    plan = _answer(Planner.load(path), directory.search, preference, settings, requirements)
    written = out or plan_path(directory, preference, settings, requirements)
    write_output(written, plan.to_json(), force=force)
    list_output(directory, "plan", written)
    return plan


def _answer(
    planner: Planner,
    search: SearchFolder,
    preference: Preference | None,
    settings: QuerySettings,
    requirements: Sequence[Requirement],
) -> Plan:
    sparsity, align = settings.sparsity, settings.align
    archive = Archive(search.archive)
    archive.check_compensation(planner.config.mode(has_grams=False))
    if preference is not None:
        check_preference(preference, measured_roles(archive))
    if requirements:
        if sparsity is not None:
            raise InputError(f"with requirements the sparsity is one of them: sparsity={sparsity:g}")
        if settings.uniform:
            raise InputError(
                "plans of one width answer a preference, not requirements; leave out one of the two"
            )
        forecast = known_forecast(search.forecast, archive, planner.space)
        return meet_requirements(
            planner, forecast, list(archive), requirements, preference=preference, align=align
        )
    if preference is None:
        raise InputError("a query needs a preference R,U,C, e.g. 1,1,1, or requirements, e.g. pope=0.85")
    if settings.uniform:
        return best_uniform(planner, list(archive), preference, sparsity=sparsity, align=align)
    return planner.query(preference, sparsity=sparsity, align=align)


def plan_path(
    directory: RunDirectory,
    preference: Preference | None,
    settings: QuerySettings = QuerySettings(),
    requirements: Sequence[Requirement] = (),
) -> Path:
    """Where a queried plan lies if no other place is given.

    Args:
        directory: the run.
        preference: what was asked for; None where requirements alone are.
        settings: a fixed sparsity and an alignment are part of the name.
        requirements: part of the name too.
    """
    return directory.plans / f"{plan_name(preference, settings, requirements)}.json"


def plan_name(
    preference: Preference | None,
    settings: QuerySettings = QuerySettings(),
    requirements: Sequence[Requirement] = (),
) -> str:
    """File name of a queried plan, e.g. ``0.5,0.5,0-s0.3`` or ``pope=0.85-sparsity=0.3``."""
    parts = [] if preference is None else [str(preference)]
    parts += map(str, requirements)
    parts += [] if settings.sparsity is None else [f"s{settings.sparsity:g}"]
    parts += [] if settings.align == 1 else [f"a{settings.align}"]
    parts += ["uniform"] if settings.uniform else []
    return "-".join(parts)
