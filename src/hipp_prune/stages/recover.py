"""A short fine-tuning after pruning."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hipp_prune.checkpoints.folders import check_output
from hipp_prune.errors import QuestionError
from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import Provenance
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.recovery.pictures import Shows
from hipp_prune.recovery.recover import RecoveryReport, discard_finished, recover_checkpoint
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.stages.loading import (
    Model,
    Questions,
    cache_folder,
    check_model,
    draw_questions,
    load,
    name_of_model,
    refuse_several,
    source_folder,
    source_names,
    writing,
)
from hipp_prune.stages.settings import FULL_PRECISION, LoadSettings


def recover(
    model: Model,
    questions: Questions,
    out: Path,
    settings: RecoverySettings = RecoverySettings(),
    *,
    teacher: Model | None = None,
    keep_adapter: bool = False,
    loading: LoadSettings = FULL_PRECISION,
    cache: Path | None = None,
    force: bool = False,
    skip_bad: SkipBad | None = None,
    encoding: Progress | None = None,
    progress: Progress | None = None,
) -> RecoveryReport:
    """Fine-tunes a pruned checkpoint on the recovery split and writes the merged result, which loads like any other.

    Interrupted, it goes on from its last saved state.

    Args:
        model: a checkpoint that ``prune`` wrote, or any other model; one in memory is written down first, and is not
            changed.
        questions: sources, or questions.
        out: checkpoint folder to make.
        settings: what is trained, on what, how long, and for which loss.
        teacher: the dense model, whose answers are distilled.
        keep_adapter: whether LoRA is kept apart too, in ``OUT/adapter``.
        loading: how the models are loaded.
        cache: where the embedded world is drawn; a temporary folder by default.
        force: replaces a checkpoint that is there, and starts an interrupted recovery over.
        skip_bad: as in ``calibrate``.
        encoding: told (pictures encoded, pictures in all), before the first step.
        progress: told (steps done, steps).

    Raises:
        OutputExistsError: if ``out`` is there and ``force`` is false.
        InputError: for bad questions, images, models or settings; see ``errors``.
        RunError: if the disk is full, another process is writing ``out``, or an interrupted recovery to ``out`` had
            other settings.
    """
    provenance = Provenance.now(
        model=name_of_model(model), questions=source_names(questions), seed=settings.seed
    )
    named = [each for each in (model, teacher) if isinstance(each, str | Path)]
    folders = [check_model(each, loading, weights=False) for each in named]
    with writing(out), cache_folder(cache) as folder:  # even if nothing is to do: what a killed one left goes
        discard_finished(out)
        for each in folders:
            check_output(each, out, force=force)
        asked = draw_questions(questions, "recovery", cache=folder, seed=settings.seed, skip_bad=skip_bad)
        refuse_open(asked)
        refuse_several(model, asked, loading)
        with source_folder(model) as checkpoint:
            return recover_on(
                asked,
                checkpoint,
                out,
                settings,
                provenance=provenance,
                teacher=teacher,
                keep_adapter=keep_adapter,
                loading=loading,
                features=folder / "features",
                force=force,
                encoding=encoding,
                progress=progress,
            )


def refuse_open(questions: Sequence[Question]) -> None:
    """Refuses what the loss cannot read, before a weight is.

    Raises:
        QuestionError: if a question is open, or has no answer.
    """
    texts = sum(len(question.answers) < 2 for question in questions)
    if texts:
        raise QuestionError(
            f"recovery learns from questions with a few allowed answers, found {texts} of {len(questions)} that want a "
            f"text; leave these sources out (of agreement, RUN/agreement-objects.jsonl can be learnt from)"
        )


def recover_on(
    questions: Sequence[Question],
    checkpoint: Path,
    out: Path,
    settings: RecoverySettings,
    *,
    provenance: Provenance,
    teacher: Model | None = None,
    keep_adapter: bool = False,
    loading: LoadSettings = FULL_PRECISION,
    features: Path | Shows | None = None,
    force: bool = False,
    encoding: Progress | None = None,
    progress: Progress | None = None,
) -> RecoveryReport:
    """``recover`` on questions that have been loaded; it takes the same arguments but for these.

    Args:
        questions: the recovery split.
        checkpoint: folder of the model.
        out: checkpoint folder to make.
        settings: what is trained, on what, how long, and for which loss.
        provenance: what ``recovery.json`` says of where the result comes from.
        teacher: the dense model, whose answers are distilled.
        keep_adapter: whether LoRA is kept apart too, in ``OUT/adapter``.
        loading: how the models are loaded.
        features: folder for encoded pictures that memory does not hold, or what gives others than the model's own.
        force: replaces a checkpoint that is there, and starts an interrupted recovery over.
        encoding: told (pictures encoded, pictures in all), before the first step.
        progress: told (steps done, steps).

    Raises:
        HippPruneError: see ``recover``.
    """
    with writing(out):
        check_output(checkpoint, out, force=force)
        return recover_checkpoint(
            checkpoint,
            load(checkpoint, loading),
            questions,
            out,
            settings,
            teacher=None if teacher is None else load(teacher, loading),
            features=features,
            keep_adapter=keep_adapter,
            force=force,
            record={**asdict(provenance), "teacher": None if teacher is None else name_of_model(teacher)},
            encoding=encoding,
            progress=progress,
        )
