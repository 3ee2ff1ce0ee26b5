"""A preference or requirements, answered with a plan; neither the model nor transformers is needed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hipp_prune.errors import BudgetError, IncompleteRunError, InputError
from hipp_prune.files.outputs import list_output
from hipp_prune.files.reading import read_document
from hipp_prune.files.run_directory import RunDirectory, SearchFolder
from hipp_prune.files.sizes import parse_size
from hipp_prune.files.writing import write_output
from hipp_prune.plans.alignment import check_runtimes, fitting_alignment
from hipp_prune.plans.footprint import Footprint
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Archive
from hipp_prune.search.query.forecast import known_forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.query.requirements import Requirement, meet_requirements
from hipp_prune.search.query.roles import check_preference, measured_part, measured_roles
from hipp_prune.search.query.targets import SizeTarget, SpeedTarget, Target, largest_plans, target_notes
from hipp_prune.search.query.uniform import best_uniform
from hipp_prune.stages.settings import QuerySettings

DEFAULT_PREFERENCE = Preference.parse("1,1,1")
"""What counts where nobody says: robustness, utility and compression alike."""


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
        preference: what counts how much; where there are requirements, what is not required by default, and with a
            sparsity or another target ``DEFAULT_PREFERENCE`` as far as the run's questions measure it.
        settings: sparsity, size or speed, and which widths a plan may have.
        requirements: lower bounds on accuracies and savings; the answer is the best plan that is predicted to meet
            all of them.
        out: the plan file; one that says the same may be there already.
        force: replaces another file that is there.

    Raises:
        OutputExistsError: if another file is there and ``force`` is false.
        IncompleteRunError: if the run has not been searched, or does not know what a target needs.
        RunError: if what it evaluated was compensated otherwise than its policy was trained for.
        BudgetError: if the box does not allow the sparsity, the alignment or a target, saying what is attainable.
        PreferenceError: if the preference weighs a role that the run's questions do not measure.
        RequirementError: if no plan is predicted to meet the requirements, saying what is attainable.
        InputError: if neither preference, target nor requirements are given, or one of these cannot be judged.
    """
    directory = RunDirectory(run)
    begun = directory.provenance()
    path = directory.require(directory.search.planner, made_by=f"hipp-prune search {run}")
    planner = Planner.load(path)
    targets = _targets(directory, planner, settings)
    plan = _answer(planner, directory.search, preference, settings, requirements, targets)
    origin = {"model": begun.model, "sources": list(begun.questions), "asked_align": settings.neurons}
    plan = replace(plan, notes={**plan.notes, **origin})
    written = out or plan_path(directory, preference, settings, requirements)
    write_output(written, plan.to_json(), force=force)
    list_output(directory, "plan", written)
    return plan


def check_sparsity(sparsity: float | None, r_max: float) -> None:
    """Refuses a sparsity that no plan has, before anything is searched for.

    Args:
        sparsity: fraction to remove; None where none is asked for.
        r_max: the largest share that a block may lose.

    Raises:
        BudgetError: saying what is attainable.
    """
    if sparsity is not None and sparsity > r_max:
        raise BudgetError(
            f"a sparsity must lie in [0, {r_max:g}], since no block may lose more of its neurons here, got "
            f"{sparsity:g}; ask for less, or search with a larger --r-max"
        )


def _answer(
    planner: Planner,
    search: SearchFolder,
    preference: Preference | None,
    settings: QuerySettings,
    requirements: Sequence[Requirement],
    targets: Sequence[Target],
) -> Plan:
    sparsity, align = settings.sparsity, _alignment(planner.space, settings)
    archive = Archive(search.archive)
    archive.check_compensation(planner.settings.mode(has_grams=False))
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
            planner,
            forecast,
            list(archive),
            requirements,
            preference=preference,
            targets=targets,
            align=align,
        )
    if preference is None and sparsity is None and not targets:
        raise InputError(
            "a query needs a preference R,U,C, e.g. 1,1,1, a target, e.g. --sparsity 0.3 or --fit 8GB, or "
            "requirements, e.g. pope=0.85"
        )
    preference = preference or measured_part(DEFAULT_PREFERENCE, measured_roles(archive))
    if settings.uniform:
        return best_uniform(
            planner, list(archive), preference, sparsity=sparsity, targets=targets, align=align
        )
    if targets:
        kept = largest_plans(planner, targets, preference.vector[None], align=align)[0]
        return planner.plan(kept, preference=preference, align=align, **target_notes(targets, kept))
    return planner.query(preference, sparsity=sparsity, align=align)


def _alignment(space: PlanSpace, settings: QuerySettings) -> int:
    """What widths are multiples of, a divisor of ``--align`` where blocks are narrower than that."""
    widths = space.widths.tolist()
    check_runtimes(settings.align, settings.align_for, widths=widths, r_max=space.r_max)
    return fitting_alignment(settings.align, settings.align_for, widths=widths, r_max=space.r_max)


def _targets(directory: RunDirectory, planner: Planner, settings: QuerySettings) -> list[Target]:
    """What the settings say besides a sparsity, with what the run knows of bytes and seconds.

    Raises:
        InputError: if plans of this run save none.
        IncompleteRunError: if the run has not been told how large or how fast its model is.
    """
    if not settings.targets:
        return []
    if planner.space.unit != "coupled":
        raise InputError(
            f"{settings.targets[0]} needs plans that remove neurons, but this run prunes {planner.space.unit}, which "
            "saves neither bytes nor seconds; search with --unit coupled"
        )
    targets: list[Target] = []
    if settings.fit is not None:
        path = directory.require(directory.footprint, made_by=directory.calibrate_again())
        footprint = read_document(path, Footprint, remedy="calibrate again", error=IncompleteRunError)
        biased = planner.settings.mode(has_grams=False) == "bias"
        targets.append(fit_of(footprint, settings, added=footprint.biases if biased else 0))
    if settings.speed is not None:
        table = planner.space.tables.latency
        if table is None:
            raise IncompleteRunError(
                f"--speed needs seconds, and {directory.root} has measured none; run `hipp-prune search "
                f"{directory.root} --compression latency --force` first"
            )
        targets.append(SpeedTarget(table=table, widths=planner.space.widths, factor=settings.speed))
    return targets


def fit_of(footprint: Footprint, settings: QuerySettings, *, added: int = 0) -> SizeTarget:
    """The target that ``settings.fit`` names.

    Args:
        footprint: of the dense model.
        settings: with a size.
        added: bytes that compensation adds.

    Raises:
        InputError: if a KV cache is to fit of a model whose configuration does not tell its size.
    """
    assert settings.fit is not None
    if settings.context and footprint.token is None:
        raise InputError(
            "the model's configuration names no attention heads, so that its KV cache is not known; leave out --context"
        )
    limit = parse_size(settings.fit, flag="--fit")
    return SizeTarget(
        footprint=footprint,
        size=settings.fit,
        limit=limit,
        context=settings.context,
        batch=settings.batch,
        added=added,
    )


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
    parts += [] if settings.neurons == 1 else [f"a{settings.neurons}"]
    parts += [] if settings.fit is None else [f"fit{settings.fit}"]
    parts += [f"kv{settings.batch}x{settings.context}"] if settings.context else []
    parts += [] if settings.speed is None else [f"x{settings.speed:g}"]
    parts += ["uniform"] if settings.uniform else []
    return "-".join(parts)
