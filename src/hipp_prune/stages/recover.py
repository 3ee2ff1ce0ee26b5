"""A short fine-tuning after pruning."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import Provenance
from hipp_prune.models.loading import local_folder
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.recovery.recover import RecoveryReport, recover_checkpoint
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.stages.loading import LoadSettings, cache_folder

FULL_PRECISION = LoadSettings(dtype="float32")
"""Small updates get lost in 16 bits; what is written keeps the checkpoint's precision."""


def recover(
    model: str,
    questions: Sequence[str],
    out: Path,
    config: RecoverySettings | None = None,
    *,
    teacher: str | None = None,
    keep_adapter: bool = False,
    options: LoadSettings = FULL_PRECISION,
    cache: Path | None = None,
    force: bool = False,
    skip_bad: SkipBad | None = None,
    encoding: Progress | None = None,
    progress: Progress | None = None,
) -> RecoveryReport:
    """Fine-tunes a pruned checkpoint on the recovery split and writes the merged result, which loads like any other.

    Interrupted, it goes on from its last saved state.

    Args:
        model: a checkpoint that ``prune`` wrote, or any other model.
        questions: specifications.
        out: checkpoint folder to make.
        config: settings; our defaults if none are given.
        teacher: the dense model, whose answers are distilled.
        keep_adapter: whether LoRA is kept apart too, in ``OUT/adapter``.
        options: how the models are loaded.
        cache: where the embedded world is drawn; a temporary folder by default.
        force: replaces a checkpoint that is there, and starts an interrupted recovery over.
        skip_bad: as in ``calibrate``.
        encoding: told (pictures encoded, pictures in all), before the first step.
        progress: told (steps done, steps).

    Raises:
        OutputExistsError: if ``out`` is there and ``force`` is false.
        InputError: for bad questions, images, models or settings; see ``errors``.
        RunError: if the disk is full, or an interrupted recovery to ``out`` had other settings.
    """
    config = config or RecoverySettings()
    source = local_folder(model)
    provenance = Provenance.now(model=model, questions=tuple(questions), seed=config.seed)
    with cache_folder(cache) as folder:
        asked = load_questions(questions, "recovery", cache=folder, seed=config.seed, skip_bad=skip_bad)
        return recover_checkpoint(
            source,
            options.load(source),
            asked,
            out,
            config,
            teacher=None if teacher is None else options.load(teacher),
            features=folder / "features",
            keep_adapter=keep_adapter,
            force=force,
            record={**asdict(provenance), "teacher": teacher},
            encoding=encoding,
            progress=progress,
        )
