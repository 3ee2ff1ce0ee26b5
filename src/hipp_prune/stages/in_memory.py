"""``hipp_prune.prune``: a model in memory in, a smaller one out, and in between the stages of a run."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

from transformers import PreTrainedModel

from hipp_prune.baselines.methods import Baseline
from hipp_prune.baselines.planning import plan_baseline
from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.errors import InputError
from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models import loaded
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.modes import CompensationChoice
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.benchmarks import asked_at_last
from hipp_prune.report.terminal import progress_bars
from hipp_prune.search.archive import Archive
from hipp_prune.search.query.roles import check_preference, measured_part, measured_roles
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.loading import (
    CalibratedRun,
    Questions,
    QuestionsInMemory,
    cache_folder,
    given_questions,
)
from hipp_prune.stages.prune import cut
from hipp_prune.stages.query import check_sparsity, query
from hipp_prune.stages.search import search
from hipp_prune.stages.settings import CalibrateSettings, QuerySettings

_BARS = (
    "dense model's answers",
    "dense model's objects",
    "calibrating",
    "encoding pictures",
    "searching",
    "fitting blocks",
)


def prune_in_memory(
    model: PreTrainedModel,
    processor: Any,
    *,
    questions: Questions,
    sparsity: float | None = None,
    preference: str | Preference | None = None,
    method: Literal["search"] | Baseline = "search",
    evaluations: int | None = SearchSettings().evaluations,
    compensation: CompensationChoice = "auto",
    count: int = CalibrateSettings().count,
    seed: int = 0,
    run: Path | str | None = None,
    in_place: bool = False,
) -> PreTrainedModel:
    """Makes a smaller model of one that is in memory; the model itself stays as it was, weight by weight.

    The smaller one shares with it all parameters but those of the MLPs that shrink: ``copy.deepcopy`` it before either
    is trained. ``save_pretrained`` writes it, and ``from_pretrained(…, trust_remote_code=True)`` opens that again.

    Args:
        model: a vision-language model of transformers, floating point, wherever it lies.
        processor: transformers' processor of it (``AutoProcessor``).
        questions: sources, as ``--questions`` names them (``["pope:POPE/coco"]``); or questions, or rows of them, as in
            ``[{"image": picture, "question": "Is there a cup?", "answer": "yes"}]``.
        sparsity: fraction of the MLP parameters to remove, in [0, 1]; a search may leave it to its policy.
        preference: R,U,C, of a search; what the questions measure, all alike, by default.
        method: ``search``, or one of ``baselines.methods.BASELINES``, which needs a sparsity.
        evaluations: plans that a search evaluates.
        compensation: how neurons that stay answer for those that leave; auto: ``sequential``, but a method's own where
            it has one.
        count: calibration questions.
        seed: of the splits, the sample and the search.
        run: run directory; what is there of the same model and questions is not done again. A temporary one by default.
        in_place: cuts the model itself, and takes no memory beside it.

    Returns:
        The smaller model, in evaluation mode.

    Raises:
        UnsupportedModelError: naming what the model or the processor lacks.
        InputError: for settings that do not go together, bad questions or pictures; see ``errors``.
    """
    if method != "search" and (sparsity is None or preference is not None):
        raise InputError(
            f"{method} answers no preference, and needs to be told a sparsity; give sparsity= alone"
        )
    settings, target = SearchSettings(evaluations=evaluations, seed=seed), QuerySettings(sparsity=sparsity)
    check_sparsity(sparsity, settings.r_max if method == "search" else BaselineSettings().r_max)
    wanted = Preference.parse(preference) if isinstance(preference, str) else preference
    given = given_questions(questions)
    with (
        _as_it_was(model),
        cache_folder(None) if run is None else nullcontext(Path(run)) as folder,
        progress_bars(*_BARS) as (answering, looking, *bars),
    ):
        adapter, root = loaded(model, processor), folder / "run" if run is None else folder
        directory = RunDirectory(root)
        if not (directory.manifest.is_file() and directory.calibration.is_file()):
            sample = CalibrateSettings(count=count, seed=seed)
            calibrate(
                adapter, given or questions, root, sample, labelling=(answering, looking), progress=bars[0]
            )
        if method == "search":
            plan = _searched(adapter, root, given, settings, target, wanted, bars[1:3])
        else:
            assert sparsity is not None
            plan = _planned(adapter, root, given, method, sparsity, seed)
        own = plan.compensation if compensation == "auto" else compensation
        mode = "sequential" if compensation == "auto" and own == "none" else own
        smaller, _ = cut(
            adapter, plan, compensation=mode, run=root, questions=given, in_place=in_place, progress=bars[3]
        )
    return smaller.eval()


def _searched(
    adapter: Adapter,
    root: Path,
    given: QuestionsInMemory,
    settings: SearchSettings,
    target: QuerySettings,
    preference: Preference | None,
    bars: list[Progress],
) -> Plan:
    """What a search answers.

    Args:
        adapter: the dense model.
        root: its run.
        given: the run's questions, where they are in memory.
        settings: of the search.
        target: the sparsity.
        preference: what counts how much; what the questions measure, all alike, if none is given.
        bars: told of pictures, and of evaluations.

    Raises:
        PreferenceError: if the preference weighs a role that no question measures.
    """
    if preference is not None:
        asked = asked_at_last(CalibratedRun.open(root, given).questions("search"))
        check_preference(preference, [benchmark.role for benchmark in asked])
    search(root, settings, model=adapter, questions=given, encoding=bars[0], progress=bars[1])
    if preference is None:
        measured = measured_roles(Archive(RunDirectory(root).search.archive))
        preference = measured_part(Preference.parse("1,1,1"), measured)
    return query(root, preference, target)


def _planned(
    adapter: Adapter, root: Path, given: QuestionsInMemory, method: Baseline, sparsity: float, seed: int
) -> Plan:
    """What a baseline removes.

    Args:
        adapter: the dense model.
        root: its run.
        given: the run's questions, where they are in memory.
        method: which baseline.
        sparsity: to remove.
        seed: of its draws.

    Raises:
        InputError: if that is more than whole neurons.
    """
    calibrated = CalibratedRun.open(root, given)
    calibration = calibrated.calibration(adapter)
    setting = Setting(
        adapter=adapter,
        calibration=calibration,
        questions=calibrated.sample(calibration),
        sparsity=sparsity,
        settings=BaselineSettings(seed=seed),
    )
    planned = plan_baseline(method, setting)
    if not isinstance(planned, Plan):
        raise InputError(
            f"{method} removes more than neurons, which only a checkpoint's files can lose; see `hipp-prune baseline`"
        )
    return planned


@contextmanager
def _as_it_was(model: PreTrainedModel) -> Iterator[None]:
    """Brings back which modules were training."""
    training = (
        [(module, module.training) for module in model.modules()]
        if isinstance(model, PreTrainedModel)
        else []
    )
    try:
        yield
    finally:
        for module, flag in training:
            module.training = flag
