"""What lies ahead of `auto`: time, memory, disk and questions of every stage, and all that it would refuse."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hipp_prune.checkpoints.footprint import measure_footprint
from hipp_prune.errors import RunError
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models.loading import has_weights, is_hub_name
from hipp_prune.plans.footprint import Footprint
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.loading import cache_folder, check_model, refuse_several
from hipp_prune.stages.outlook import Outlook, outlook
from hipp_prune.stages.search import evaluations_paid
from hipp_prune.stages.settings import AskSettings, CalibrateSettings, EvaluateSettings
from hipp_prune.stages.split_questions import tried
from hipp_prune.stages.wish import (
    Wish,
    check_asked,
    check_attainable,
    check_wish,
    search_settings,
    wanted_share,
)
from hipp_prune.stages.work import Work

_Settings = TypeVar("_Settings", CalibrateSettings, AskSettings, EvaluateSettings)
_USUAL = 0.3
"""The share of the neurons that is taken to leave where weights are not there to tell."""


def look_ahead(wish: Wish, *, force: bool = False) -> Outlook:
    """What ``auto`` would take, measured where that is cheap, and what it would refuse; nothing is left behind.

    Args:
        wish: what is to be made of which model.
        force: as for ``auto``.
    """
    refused: list[str] = []
    folder = tried(refused, lambda: check_model(wish.model, wish.loading, weights=False))
    footprint = None
    if folder is not None:
        tried(refused, lambda: check_wish(wish, folder, force=force))
    if folder is not None and (has_weights(folder) or not is_hub_name(wish.model)):
        trust = wish.loading.trust_remote_code
        footprint = tried(refused, lambda: measure_footprint(folder, trust_remote_code=trust))
    if footprint is not None:
        tried(refused, lambda: check_attainable(wish, footprint))
    with cache_folder(None) as cache:
        found = expect(wish, footprint, refused, force=force, cache=cache, measure=True)
        tried(refused, lambda: _check_questions(wish, cache))
    return found.refusing(refused)


def expect(
    wish: Wish, footprint: Footprint | None, refused: list[str], *, force: bool, cache: Path, measure: bool
) -> Outlook:
    """The outlook of a wish that has been checked.

    Args:
        wish: what is to be made of which model.
        footprint: of the model; None where its weights are not there.
        refused: gets a sentence where the run was begun with other settings.
        force: whether these are then done anew.
        cache: where the embedded world is drawn.
        measure: whether the model may be asked a few questions.
    """
    search = tried(refused, lambda: _search(wish, footprint)) or SearchSettings()
    work = Work(
        calibrate=_sized(CalibrateSettings(seed=wish.settings.seed), wish),
        search=search,
        asking=_sized(AskSettings(), wish),
        sparsity=_share(wish, footprint),
        compensation=wish.settings.compensation,
        recover=wish.recovery,
        evaluate=_sized(EvaluateSettings(limit=wish.settings.limit, seed=wish.settings.seed), wish),
        whole=True,
        skip_bad=wish.settings.skip_bad,
        paid=tried([], lambda: _paid(wish, search)) or 0.0,
        done=_done(wish, search, refused, force=force),
    )
    return outlook(
        wish.model, wish.asked, work, loading=wish.loading, out=wish.run, cache=cache, measure=measure
    )


def _check_questions(wish: Wish, cache: Path) -> None:
    left_out = SkipBad() if wish.settings.skip_bad else None
    asked = load_questions(wish.asked, "search", cache=cache, seed=wish.settings.seed, skip_bad=left_out)
    check_asked(wish, asked)
    refuse_several(wish.model, asked, wish.loading)


def _sized(settings: _Settings, wish: Wish) -> _Settings:
    """Settings with the wish's own batches, if it has any."""
    size = wish.settings.batch_size
    return settings if size is None else replace(settings, batch_size=size)


def _search(wish: Wish, footprint: Footprint | None) -> SearchSettings:
    """What the search will be told, as far as that is known before a speed is measured."""
    most = SearchSettings().r_max
    wanted = _share(wish, footprint) if wish.target.speed is None else 1 - 1 / wish.target.speed
    return search_settings(wish, RunDirectory(wish.run), wanted=min(wanted, most), most=most)


def _share(wish: Wish, footprint: Footprint | None) -> float:
    """The share of the neurons that has to leave, as near to it as a plan can come where it is out of reach."""
    wanted = _USUAL if footprint is None else wanted_share(wish, footprint)
    return min(max(0.0, wanted), SearchSettings().r_max)


def _paid(wish: Wish, search: SearchSettings) -> float:
    """Evaluations that an earlier start has paid for, of a search that goes on or grows."""
    pipeline = wish.pipeline(force=False)
    pipeline.check_search(search)
    return evaluations_paid(pipeline.run.search, search)


def _done(wish: Wish, search: SearchSettings, refused: list[str], *, force: bool) -> frozenset[str]:
    """The long stages that an earlier start has finished.

    Args:
        wish: what is to be made of which model.
        search: what the search will be told.
        refused: gets a sentence where one was begun with other settings.
        force: whether that one is then done anew.
    """
    pipeline, done = wish.pipeline(force=force), set[str]()
    try:
        if pipeline.is_calibrated():
            done.add("calibrate")
        if pipeline.run.search.latency.exists():
            done.add("latency")
        if pipeline.check_search(search) == "finished":
            done.add("search")
    except RunError as error:
        if not force:
            refused.append(str(error))
    return frozenset(done)
