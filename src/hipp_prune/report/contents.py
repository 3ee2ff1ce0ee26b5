"""What a run directory holds, however far the run has come: what can be read, and why the rest cannot.

Reading changes nothing in the directory, so that a report can be written while a search is still running.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from hipp_prune.calibration.measurement import Calibration
from hipp_prune.calibration.reductions import TOKEN_REDUCTIONS
from hipp_prune.errors import HippPruneError, IncompleteRunError
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.outputs import Output, OutputKind, read_outputs
from hipp_prune.files.reading import read_document
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.footprint import Footprint
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import PlanSpace
from hipp_prune.report.commands import named_file
from hipp_prune.search import archive as archives
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.record import read_record, search_again
from hipp_prune.search.session import Step
from hipp_prune.search.settings import SearchSettings

DENSE = "dense"
"""Label of the unpruned model's evaluation."""

_Part = TypeVar("_Part")


@dataclass(kw_only=True)
class Contents:
    """The parts of a run directory; a part that is missing or damaged is None or empty."""

    run: RunDirectory
    provenance: Provenance
    sensitivity: dict[str, Floats] | None = None
    """S_l of Eq. 6, [L], by token reduction (``max``, ``mean``, ``last``)."""
    num_questions: int | None = None
    """How many questions the model was calibrated on."""
    footprint: Footprint | None = None
    """Bytes of the dense model and of its neurons."""
    settings: SearchSettings | None = None
    space: PlanSpace | None = None
    """The searched space; known when the search is complete."""
    planner: Planner | None = None
    """What answers preferences; known when the search is complete."""
    archive: list[archives.Evaluation] = field(default_factory=list)
    curve: list[Step] = field(default_factory=list)
    plans: dict[str, Plan] = field(default_factory=dict)
    """By file name without its ending, or by path where it lies elsewhere; what favours robustness most comes first."""
    evaluations: dict[str, Scorecard] = field(default_factory=dict)
    """Named like ``plans``, the dense model first, then as these."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Why a file that exists could not be read, by its path within the run."""

    @property
    def model_name(self) -> str:
        """The dense model's, short: a folder's with that of the folder around it, whose own is often but ``model``."""
        return Path(*Path(self.provenance.model).parts[-2:]).as_posix()

    @property
    def dense(self) -> Scorecard | None:
        """The unpruned model's evaluation."""
        return next((each for each in self.evaluations.values() if each.label == DENSE), None)

    @property
    def pruned(self) -> list[Scorecard]:
        """All evaluations but that of the dense model."""
        return [each for each in self.evaluations.values() if each.label != DENSE]

    def evaluation_of(self, plan: Plan) -> Scorecard | None:
        """The first evaluation that is of this plan, if there is one.

        Its checkpoint is compensated as the plan says; one of a plan without compensation may have some nevertheless.
        """
        found = [each for each in self.pruned if _is_of(each, plan)]
        return min(found, key=lambda each: each.compensation != plan.compensation, default=None)


def _is_of(each: Scorecard, plan: Plan) -> bool:
    return (
        each.ledger is not None
        and abs(each.ledger.mlp - plan.ledger.mlp) < 1e-6
        and plan.compensation in ("none", each.compensation)
        and (plan.preference is None or _rank(each.preference) == _rank(plan.preference.vector))
    )


def read_contents(run: RunDirectory) -> Contents:
    """Reads whatever is there.

    Raises:
        IncompleteRunError: if ``run`` has no readable manifest, so that it is no run directory.
    """
    contents = Contents(run=run, provenance=run.provenance())
    calibration = _try(contents, run.calibration, Calibration.load)
    if calibration is not None:
        contents.sensitivity = _sensitivity(calibration)
        contents.num_questions = calibration.num_questions
    contents.footprint = _try(contents, run.footprint, _read_footprint)
    searched = _try(contents, run.search.record, _read_search)
    if searched is not None:
        contents.settings, contents.space = searched
    contents.planner = _try(contents, run.search.planner, Planner.load)
    mode = None if contents.settings is None else contents.settings.mode(has_grams=False)
    contents.archive = _try(contents, run.search.archive, partial(_read_archive, mode=mode)) or []
    contents.curve = _try(contents, run.search.curve, _read_curve) or []
    listed = _try_list(contents)
    plans = _try_all(contents, run.plans, Plan.load) | _try_listed(contents, listed, "plan", Plan.load)
    contents.plans = dict(sorted(plans.items(), key=lambda item: _plan_order(item[1])))
    evaluations = _try_all(contents, run.results, Scorecard.load)
    evaluations |= _try_listed(contents, listed, "result", Scorecard.load)
    contents.evaluations = dict(sorted(evaluations.items(), key=lambda item: _evaluation_order(item[1])))
    if calibration is not None:
        _leave_out_strangers(contents, calibration.origin.weights)
    _leave_out_others(contents)
    return contents


def _try(contents: Contents, path: Path, read: Callable[[Path], _Part]) -> _Part | None:
    """What ``read`` makes of a file; None if there is none, or it is damaged, which is noted."""
    if not path.is_file():
        return None
    try:
        return read(path)
    except HippPruneError as error:
        contents.damaged[_shown(contents, path)] = str(error)
        return None


def _try_all(contents: Contents, folder: Path, read: Callable[[Path], _Part]) -> dict[str, _Part]:
    parts = {path.stem: _try(contents, path, read) for path in sorted(folder.glob("*.json"))}
    return {name: part for name, part in parts.items() if part is not None}


def _try_list(contents: Contents) -> list[Output]:
    """What the run's commands wrote elsewhere; nothing where the list is damaged, which is noted."""
    try:
        return read_outputs(contents.run)
    except HippPruneError as error:
        contents.damaged[_shown(contents, contents.run.outputs)] = str(error)
        return []


def _try_listed(
    contents: Contents, listed: list[Output], kind: OutputKind, read: Callable[[Path], _Part]
) -> dict[str, _Part]:
    """Files of a kind that lie elsewhere, by path; one that is gone is noted.

    Args:
        contents: what is noted in.
        listed: what lies elsewhere.
        kind: which of it.
        read: makes something of a file.
    """
    parts: dict[str, _Part | None] = {}
    for path in (Path(each.path) for each in listed if each.kind == kind):
        if not path.is_file():
            contents.damaged[str(path)] = (
                f"{path} is gone since a command of this run wrote it; write it again"
            )
        parts[str(path)] = _try(contents, path, read)
    return {name: part for name, part in parts.items() if part is not None}


def _shown(contents: Contents, path: Path) -> str:
    """A file's path within the run, or its whole path where it lies elsewhere."""
    root = contents.run.root
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _leave_out_strangers(contents: Contents, weights: str) -> None:
    """Leaves out evaluations of dense models that are not the run's, and notes that.

    Args:
        contents: what is noted in.
        weights: the fingerprint of the run's model.
    """
    for name, each in list(contents.evaluations.items()):
        if each.label == DENSE and each.origin is not None and each.origin.weights != weights:
            path = named_file(contents.run.results, name)
            contents.damaged[_shown(contents, path)] = (
                f"{path}: {each.model} is not the model of this run, or its weights have changed; evaluate the run's "
                "own model"
            )
            del contents.evaluations[name]


def _leave_out_others(contents: Contents) -> None:
    """Leaves out evaluations of other questions than the dense model's of that split, and notes that."""
    dense = contents.dense
    if dense is None or dense.origin is None:
        return
    for name, each in list(contents.evaluations.items()):
        alike = each.split == dense.split and each.questions == dense.questions
        if alike and each.origin is not None and each.origin.questions != dense.origin.questions:
            path = named_file(contents.run.results, name)
            contents.damaged[_shown(contents, path)] = (
                f"{path}: its questions, labels or pictures are not those that the dense model was asked; evaluate "
                "both again"
            )
            del contents.evaluations[name]


def _sensitivity(calibration: Calibration) -> dict[str, Floats]:
    visual = calibration.visual
    return {tokens: visual.per_block(tokens=tokens).double().numpy() for tokens in TOKEN_REDUCTIONS}


def _read_footprint(path: Path) -> Footprint:
    return read_document(path, Footprint, remedy="calibrate again", error=IncompleteRunError)


def _read_search(path: Path) -> tuple[SearchSettings, PlanSpace | None]:
    record = read_record(path)
    settings = record.settings
    if record.shape is None:
        return settings, None
    return settings, PlanSpace(shape=record.shape, unit=settings.unit, r_max=settings.r_max)


def _read_archive(path: Path, *, mode: Compensation | None) -> list[archives.Evaluation]:
    archive = archives.Archive(path)
    if mode is not None:
        archive.check_compensation(mode)
    return list(archive)


def _read_curve(path: Path) -> list[Step]:
    return read_document(path, list[Step], remedy=search_again(path), error=IncompleteRunError)


def _plan_order(plan: Plan) -> tuple[tuple[float, ...], float]:
    return _rank(None if plan.preference is None else plan.preference.vector), plan.ledger.mlp


def _evaluation_order(each: Scorecard) -> tuple[bool, tuple[float, ...], float, str]:
    mlp = 0.0 if each.ledger is None else each.ledger.mlp
    return each.label != DENSE, _rank(each.preference), mlp, each.label


def _rank(preference: tuple[float, ...] | Floats | None) -> tuple[float, ...]:
    """Sorts preferences: more robustness first, then more utility; what has none comes last."""
    return (1.0,) if preference is None else tuple((-np.round(preference, 6)).tolist())
