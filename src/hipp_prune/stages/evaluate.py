"""What a model scores, how fast it is, and what anyone's answers score."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hipp_prune.calibration.measurement import Calibration
from hipp_prune.checkpoints.card import write_scores
from hipp_prune.checkpoints.footprint import weight_bytes
from hipp_prune.checkpoints.ledger import (
    checkpoint_compensation,
    checkpoint_ledger,
    lost_savings,
    read_savings,
)
from hipp_prune.errors import InputError, QuestionError
from hipp_prune.evaluation.results import Results, score_answers_file
from hipp_prune.evaluation.scorecard import Scorecard, evaluate_model, limit_questions
from hipp_prune.evaluation.speed import ROUND_SECONDS, measure_speedups
from hipp_prune.files.markdown import markdown_code, markdown_table
from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.loading import local_folder
from hipp_prune.questions.benchmark import Rule
from hipp_prune.questions.benchmarks import asked as asked_benchmarks
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_asked, load_questions
from hipp_prune.questions.survey import Survey, survey
from hipp_prune.stages.labelling import labelled
from hipp_prune.stages.loading import (
    Model,
    Questions,
    cache_folder,
    check_model,
    draw_questions,
    load,
    name_of_model,
    read_labels,
    refuse_several,
    source_names,
)
from hipp_prune.stages.prune import checkpoint_plan
from hipp_prune.stages.settings import EvaluateSettings, LoadSettings


def evaluate(
    model: Model,
    questions: Questions,
    settings: EvaluateSettings = EvaluateSettings(),
    *,
    dense: Model | None = None,
    run: Path | None = None,
    loading: LoadSettings = LoadSettings(),
    cache: Path | None = None,
    skip_bad: SkipBad | None = None,
    surveyed: Callable[[Survey], None] | None = None,
    progress: Progress | None = None,
) -> Scorecard:
    """Official scores of a model or a pruned checkpoint.

    Args:
        model: as in ``calibrate``, or a checkpoint that ``prune`` wrote. What files say of one in memory is not known.
        questions: sources, or questions.
        settings: which questions are asked, and how they are scored.
        dense: the dense model, whose own answers score questions that come without one.
        run: a calibrated run, in which these answers are looked for first.
        loading: how the models are loaded.
        cache: where the embedded world is drawn; the run's, or a temporary folder by default.
        skip_bad: as in ``calibrate``.
        surveyed: told what the questions can tell, before any is asked.
        progress: told (questions done, questions in all).

    Raises:
        InputError: for bad questions, images or models; see ``errors``.
    """
    if not isinstance(model, Adapter):
        check_model(model, loading, quantised=True, weights=False)
    directory = None if run is None else RunDirectory(run)
    if cache is None and directory is not None:
        cache = directory.cache
    with cache_folder(cache) as folder:
        split, seed = settings.split, settings.seed
        asked = draw_questions(questions, split, cache=folder, seed=seed, skip_bad=skip_bad)
        refuse_several(model, asked, loading)
        asked = _labelled(asked, directory, dense, loading)
        asked = limit_questions(asked, settings.limit, seed=seed)
        if surveyed is not None:
            surveyed(survey({split: asked}))
        adapter = load(model, loading, quantised=True)
        if directory is not None:
            _check_kin(directory, model, adapter)
        label = settings.label or (
            Path(name_of_model(model)).name if isinstance(model, Adapter) else _label(model)
        )
        evaluation = evaluate_model(
            adapter,
            asked,
            label=label,
            model=name_of_model(model),
            specs=source_names(questions),
            split=split,
            rule=settings.rule,
            batch_size=settings.batch_size,
            progress=progress,
        )
    if isinstance(model, Adapter):
        return evaluation
    plan, checkpoint = checkpoint_plan(model), local_folder(model)
    return replace(
        evaluation,
        bytes=weight_bytes(checkpoint),
        ledger=checkpoint_ledger(checkpoint),
        preference=None
        if plan is None or plan.preference is None
        else tuple(plan.preference.vector.tolist()),
        compensation=checkpoint_compensation(checkpoint),
    )


def _check_kin(directory: RunDirectory, model: Model, adapter: Adapter) -> None:
    """Refuses to put scores into the run of another model, where they would stand beside that model's.

    Args:
        directory: of the run.
        model: who is asked.
        adapter: the same, loaded.

    Raises:
        InputError: if it is neither the run's dense model nor pruned from it.
    """
    savings = None if isinstance(model, Adapter) else read_savings(local_folder(model))
    weights = adapter.shape.fingerprint if savings is None else savings.shape.fingerprint
    if not directory.calibration.is_file():
        return
    origin = Calibration.load(directory.calibration).origin
    if weights != origin.weights:
        raise InputError(
            f"{directory.root} is a run of {directory.provenance().model}, and {name_of_model(model)} is neither that "
            "model nor pruned from it; give its own run, or --out FILE instead of --run"
        )


def _labelled(
    questions: list[Question],
    directory: RunDirectory | None,
    dense: Model | None,
    loading: LoadSettings,
) -> list[Question]:
    """Questions as they are, or with the dense model's answers where they come without one.

    Args:
        questions: what is asked.
        directory: of a run that may have these answers.
        dense: the model that is asked if it has not.
        loading: how it is loaded.

    Raises:
        QuestionError: if there is neither.
    """
    unlabelled = sum(question.is_unlabelled for question in questions)
    if not unlabelled:
        return questions
    if directory is not None and directory.labels.exists():
        if completed := read_labels(directory).complete(questions):
            return completed
        raise QuestionError(
            f"the run {directory.root} has no answer of the dense model to these {len(questions)} questions; give the "
            "questions that it was calibrated on, or leave --run out and add --dense MODEL"
        )
    if dense is None:
        raise QuestionError(
            f"{unlabelled} of the {len(questions)} questions come without an answer, so that only agreement with the "
            f"dense model can be measured; add --dense MODEL, --run RUN, or give the answers that calibrate "
            f"wrote, as in --questions agreement:RUN/agreement.jsonl agreement-objects:RUN/agreement-objects.jsonl"
        )
    return labelled(load(dense, loading), questions)


def speedups(
    dense: Model,
    pruned: Sequence[Model],
    questions: Questions,
    *,
    limit: int = 256,
    run: Path | None = None,
    loading: LoadSettings = LoadSettings(),
    cache: Path | None = None,
    skip_bad: SkipBad | None = None,
    round_seconds: float = ROUND_SECONDS,
    progress: Progress | None = None,
) -> list[float]:
    """Dense wall time over each pruned model's on the same test questions, measured in turns.

    Args:
        dense: the dense model.
        pruned: the models that are compared with it.
        questions: sources, or questions.
        limit: questions asked in all, shared evenly by the benchmarks; fewer where a round takes longer than it may.
        run: a calibrated run with the dense model's answers to questions that come without one; else it is asked.
        loading: how the models are loaded.
        cache: where the embedded world is drawn; a temporary folder by default.
        skip_bad: as in ``calibrate``.
        round_seconds: that a round of all models takes at most, about, > 0.
        progress: told (rounds done, rounds in all).
    """
    with cache_folder(cache) as folder:
        drawn = draw_questions(questions, "test", cache=folder, skip_bad=skip_bad)
        asked = limit_questions(drawn, max(1, limit // len(asked_benchmarks(drawn))))
        adapters = [load(model, loading) for model in (dense, *pruned)]
        directory = None if run is None else RunDirectory(run)
        asked = _labelled(asked, directory, adapters[0], loading)[:limit]
        return measure_speedups(
            adapters[0], adapters[1:], asked, round_seconds=round_seconds, progress=progress
        )


def score_answers(
    answers: Path, questions: Sequence[str], *, rule: Rule = "official", skip_bad: SkipBad | None = None
) -> Results:
    """Official scores of anyone's answers, paired with the questions by id; no model and no picture is opened.

    Answers to a benchmark score its corrected editions too, see ``evaluation.answers``.

    Args:
        answers: a file of answers, or of results with the answers.
        questions: specifications; one of a corrected edition may name what was asked with ``asked=``.
        rule: whose reading of answers, where a benchmark has several.
        skip_bad: as in ``calibrate``.

    Raises:
        QuestionError: if the answers do not belong to the questions.
    """
    with cache_folder(None) as folder:
        asked = load_questions(questions, "all", cache=folder, skip_bad=skip_bad, need_images=False)
    return score_answers_file(answers, asked, load_asked(questions), rule=rule)


def update_card(evaluation: Scorecard) -> None:
    """Puts the scores into the model card of the checkpoint that was evaluated.

    Raises:
        CheckpointError: if its card has no place for them.
        RunError: if it cannot be written.
    """
    results, specs = evaluation.results, " ".join(evaluation.questions)
    asked = (
        f"{markdown_code(specs)}, split {evaluation.split}, {len(evaluation.answers)} questions; in percent."
    )
    tables = [markdown_table(score.rows()) for score in results.scores.values()]
    write_scores(local_folder(evaluation.model), "\n\n".join([asked, *tables]))


def _label(model: str | Path) -> str:
    """Name of a checkpoint in tables: dense, the preference it answers, or that it was pruned."""
    plan, folder = checkpoint_plan(model), local_folder(model)
    if checkpoint_ledger(folder) is None and lost_savings(folder) is None:
        return "dense"
    return "pruned" if plan is None or plan.preference is None else str(plan.preference)
