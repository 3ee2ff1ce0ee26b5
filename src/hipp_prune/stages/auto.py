"""One command for a smaller model: what can be refused is refused first, then every stage is done, or found done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hipp_prune.checkpoints.footprint import measure_footprint
from hipp_prune.errors import BudgetError
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.manifest import remove_file, start_list
from hipp_prune.files.recipes import recipe_text
from hipp_prune.files.replacing import clean, taken_back
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.watching import Log, check_log
from hipp_prune.files.writing import write_text
from hipp_prune.models.loading import has_weights, is_hub_name
from hipp_prune.plans.footprint import Footprint
from hipp_prune.plans.plan import Plan
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.splits import Split
from hipp_prune.questions.survey import Survey, survey
from hipp_prune.report.contents import DENSE
from hipp_prune.search.query.targets import SpeedTarget, shown_speed
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.ahead import expect
from hipp_prune.stages.loading import check_model, refuse_several, writing
from hipp_prune.stages.pipeline import Headlines, Pipeline, silent
from hipp_prune.stages.query import plan_name, query
from hipp_prune.stages.recover import refuse_open
from hipp_prune.stages.report import report
from hipp_prune.stages.search import measure_latency
from hipp_prune.stages.settings import AskSettings
from hipp_prune.stages.summary import summarise
from hipp_prune.stages.wish import (
    Wish,
    bounds_of,
    check_asked,
    check_attainable,
    check_wish,
    is_cut_off,
    search_settings,
    wanted_share,
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    plan: Plan
    dense: Scorecard
    pruned: Scorecard
    """Of the checkpoint in OUT, recovered if that was asked for."""
    report: Path
    """The run's page."""
    summary: str
    """The table of both, 80 columns wide, and lines that ask, load, serve and compare what was made."""


def auto(
    wish: Wish,
    *,
    force: bool = False,
    skip_bad: SkipBad | None = None,
    surveyed: Callable[[Survey], None] | None = None,
    announce: Callable[[str], None] | None = None,
    bars: Headlines = silent,
    log: Log = "auto",
) -> Outcome:
    """Calibrates, searches, queries, prunes, recovers if asked to, evaluates and reports; killed, it goes on.

    What an earlier start of the same wish has finished is found and not done again. A run may serve several wishes:
    another target within what it searched is a query of it, and more evaluations make its search grow.

    Args:
        wish: what is to be made of which model.
        force: replaces a checkpoint in ``wish.out``, and starts over what the run began with other settings.
        skip_bad: counts what ``wish.settings.skip_bad`` leaves out.
        surveyed: told what every split holds, before a weight is read.
        announce: told, before anything is begun, what time and memory lie ahead.
        bars: draws how far each stage has got.
        log: how the numbers of search and recovery are kept.

    Raises:
        OutputExistsError: if ``wish.out`` is there and this is not the start of it that was cut off.
        RunError: if the run was begun with other settings and ``force`` is false.
        BudgetError, RequirementError: if the target is out of reach, saying what is attainable.
        InputError: for bad questions, pictures or models; see ``errors``.
    """
    check_log(log)
    run = RunDirectory(wish.run)
    with writing(wish.run), writing(wish.out):
        clean(wish.run)
        resumed = is_cut_off(wish)
        with taken_back(wish.run):
            footprint = _check(
                wish, run, force=force, skip_bad=skip_bad, surveyed=surveyed, announce=announce
            )
        pipeline = replace(wish.pipeline(force=force, bars=bars), log=log)
        pipeline.calibrate()
        settings = _search_settings(wish, run, footprint)
        if pipeline.check_search(settings) == "grows" or resumed:
            pipeline = replace(
                pipeline, anew="changed"
            )  # the run's plan of that name is of fewer evaluations
        remove_file(run.summary)
        write_text(run.recipe, recipe_text(wish.recipe))
        pipeline.search(settings)
        return _carry_out(wish, pipeline, force=force)


def _check(
    wish: Wish,
    run: RunDirectory,
    *,
    force: bool,
    skip_bad: SkipBad | None,
    surveyed: Callable[[Survey], None] | None,
    announce: Callable[[str], None] | None,
) -> Footprint:
    """Refuses all that can be refused before a weight is read; the questions of every split are looked through.

    Where the hub has yet to send the weights, the questions come first, and so does what lies ahead.

    Args:
        wish: what is to be made.
        run: its run directory.
        force: as for ``auto``.
        skip_bad: as for ``auto``.
        surveyed: as for ``auto``.
        announce: as for ``auto``.
    """

    def look(footprint: Footprint | None) -> None:
        start_list(wish.run)
        _look_through(wish, run, skip_bad, surveyed)
        if announce is not None:
            ahead = expect(wish, footprint, [], force=force, cache=run.cache, measure=False)
            announce(ahead.summary)

    folder = check_model(wish.model, wish.loading, weights=False)
    check_wish(wish, folder, force=force)
    fetched = not has_weights(folder) and is_hub_name(wish.model)
    if fetched:
        look(None)
    folder = check_model(wish.model, wish.loading)
    footprint = measure_footprint(folder, trust_remote_code=wish.loading.trust_remote_code)
    check_attainable(wish, footprint)
    if not fetched:
        look(footprint)
    return footprint


def _look_through(
    wish: Wish, run: RunDirectory, skip_bad: SkipBad | None, surveyed: Callable[[Survey], None] | None
) -> None:
    """Reads the questions of every split that will be asked, and refuses what cannot be asked of the model.

    Args:
        wish: what is to be made.
        run: its run directory.
        skip_bad: counts what is left out.
        surveyed: told what every split holds.
    """
    left_out = SkipBad() if wish.settings.skip_bad else None
    found: dict[Split, list[Question]] = {
        split: load_questions(wish.asked, split, cache=run.cache, seed=wish.settings.seed, skip_bad=left_out)
        for split in wish.splits
    }
    if skip_bad is not None and left_out is not None:
        skip_bad.reasons += list(dict.fromkeys(left_out.reasons))
    if surveyed is not None:
        surveyed(survey(found))
    check_asked(wish, found["search"])
    refuse_open(found.get("recovery", []))
    refuse_several(wish.model, found["search"], wish.loading)


def _search_settings(wish: Wish, run: RunDirectory, footprint: Footprint) -> SearchSettings:
    """What the search is told, the speed measured where one is asked for.

    Raises:
        BudgetError: if the language model cannot be as fast as was asked for.
    """
    most = SearchSettings().r_max
    if wish.target.speed is None:
        return search_settings(wish, run, wanted=wanted_share(wish, footprint), most=most)
    return search_settings(
        wish, run, wanted=1 - 1 / wish.target.speed, most=_fastest(wish, run, footprint, most)
    )


def _fastest(wish: Wish, run: RunDirectory, footprint: Footprint, r_max: float) -> float:
    """The largest fraction of the language model's seconds that plans save, measured once.

    Args:
        wish: with a speed.
        run: its run directory.
        footprint: of the dense model.
        r_max: the largest share that a block may lose.

    Raises:
        BudgetError: if that is less than was asked for.
    """
    asking = AskSettings()
    asking = replace(asking, batch_size=wish.settings.batch_size or asking.batch_size)
    table = measure_latency(run.root, asking=asking, loading=wish.loading)
    assert wish.target.speed is not None
    widths, (narrowest, _) = np.array(footprint.neurons), bounds_of(wish, footprint)
    target = SpeedTarget(table=table, widths=widths, factor=wish.target.speed)
    if not target.meets(narrowest[None])[0]:
        reached = shown_speed(float(target.reached(narrowest)))
        remedy = "ask for no more than that" if float(reached) > 1 else "give --sparsity or --fit instead"
        raise BudgetError(
            f"{target.flag} is out of reach: with {1 - narrowest.sum() / widths.sum():.0%} of the neurons gone, the "
            f"most that a plan may remove, the language model is {reached} × as fast here; {remedy}"
        )
    return float(table.saved(np.full(len(table.units), r_max)))


def _carry_out(wish: Wish, pipeline: Pipeline, *, force: bool) -> Outcome:
    """From a searched run to the checkpoint, its scores and the page.

    Args:
        wish: what is to be made.
        pipeline: the stages.
        force: replaces a page that somebody changed.
    """
    run, settings = pipeline.run, wish.settings
    replaces = pipeline.anew != "never"
    plan = query(run.root, wish.preference, wish.target, requirements=wish.requirements, force=replaces)
    name = plan_name(wish.preference, wish.target, wish.requirements)
    folder = run.root / "checkpoints" / name if settings.recover else wish.out
    pipeline.prune(plan, folder, name=name, compensation=settings.compensation)
    if wish.recovery is not None:
        pipeline.recover(folder, wish.out, wish.recovery, name=name)
    scorecards = [
        pipeline.evaluate(wish.model, name=DENSE, label=DENSE, limit=settings.limit),
        pipeline.evaluate(str(wish.out), name=name, label=wish.out.name, limit=settings.limit),
    ]
    dense, pruned = pipeline.with_speedups(scorecards, [DENSE, name])
    page = report(run.root, force=force)
    summary = summarise(pipeline, wish.out, plan, dense, pruned, limit=settings.limit)
    write_text(run.summary, summary)
    return Outcome(plan=plan, dense=dense, pruned=pruned, report=page, summary=summary)
