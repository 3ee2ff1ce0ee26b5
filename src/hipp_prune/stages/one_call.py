"""``hipp_prune.auto``: a model's name and questions in, a smaller checkpoint out, as by ``hipp-prune auto``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hipp_prune.errors import InputError
from hipp_prune.files.replacing import beside
from hipp_prune.plans.preference import Preference
from hipp_prune.report.terminal import print_survey, progress_bars, skipping
from hipp_prune.search.query.requirements import Requirement
from hipp_prune.stages.auto import Outcome, auto
from hipp_prune.stages.settings import AutoSettings, LoadSettings, QuerySettings
from hipp_prune.stages.wish import Wish


def auto_in_one_call(
    model: str | Path,
    *,
    questions: Sequence[str],
    out: str | Path,
    sparsity: float | None = None,
    fit: str | None = None,
    speed: float | None = None,
    require: Mapping[str, float] = {},
    preference: str | Preference | None = None,
    settings: AutoSettings = AutoSettings(),
    loading: LoadSettings = LoadSettings(),
    run: str | Path | None = None,
    force: bool = False,
) -> Outcome:
    """Makes a smaller checkpoint of a model that has files: every stage, each found done where it is.

    What is asked and how well that is known is printed before any work, and bars while it lasts. Called again after an
    interruption, it goes on. ``api.auto`` takes every flag of ``hipp-prune auto``; a model in memory is for
    ``hipp_prune.prune``.

    Args:
        model: ``toy-llava``, ``toy-qwen2.5-vl``, a checkpoint folder or a hub name.
        questions: sources, as ``--questions`` names them (``["photos.csv"]``).
        out: checkpoint folder to make.
        sparsity: fraction of the MLP parameters to remove, in [0, 1]. It, a size, a speed or a requirement is needed.
        fit: the largest checkpoint that takes no more, e.g. ``"8GB"``.
        speed: how many times as fast the language model is to be, > 1.
        require: lower bounds, in [0, 1], of accuracies and savings by their names.
        preference: R,U,C; what the questions measure, all alike, by default.
        settings: how many questions and evaluations, whether the pruned model is fine-tuned briefly, and the seed.
        loading: how the models are loaded.
        run: run directory; ``OUT-run`` by default.
        force: replaces a checkpoint in ``out``, and starts over what the run began with other settings.

    Returns:
        The plan, the scores before and after, and what ``hipp-prune auto`` prints at the end (``summary``).

    Raises:
        OutputExistsError: if ``out`` is there, ``force`` is false and this is not the start of it that was cut off.
        BudgetError, RequirementError: if the target is out of reach, saying what is attainable.
        InputError: for settings that do not go together, bad questions, pictures or models; see ``errors``.
    """
    if not isinstance(model, str | Path):
        raise InputError(
            f"auto works on a checkpoint's files, and got a {type(model).__name__} in memory; give its name or "
            "folder, or call hipp_prune.prune(model, processor, …)"
        )
    if isinstance(questions, str):
        raise InputError(f"questions are a list of sources, found {questions!r}; write [{questions!r}]")
    place = Path(out)
    wish = Wish(
        model=str(model),
        questions=tuple(questions),
        out=place,
        run=beside(place, "-run") if run is None else Path(run),
        preference=Preference.parse(preference) if isinstance(preference, str) else preference,
        requirements=tuple(Requirement.parse(f"{name}={least!r}") for name, least in require.items()),
        target=QuerySettings(sparsity=sparsity, fit=fit, speed=speed),
        settings=settings,
        loading=loading,
    )
    with skipping(settings.skip_bad) as counter:
        return auto(wish, force=force, skip_bad=counter, surveyed=print_survey, bars=progress_bars)
