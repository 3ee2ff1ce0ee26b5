"""The dense model, measured: how a run starts."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch

from hipp_prune import distributed
from hipp_prune.calibration.general_text import GeneralText
from hipp_prune.calibration.grams import GramLayout, fit_layout, gather_grams, products_of, token_weights
from hipp_prune.calibration.measurement import Calibration, batches
from hipp_prune.calibration.measurement import calibrate as measure
from hipp_prune.checkpoints.footprint import measure_footprint
from hipp_prune.evaluation.labels import Labels
from hipp_prune.files.manifest import start_list
from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import MixedText, Provenance, RunDirectory
from hipp_prune.files.writing import write_json
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.footprint import Footprint
from hipp_prune.pruning.compensated import choose_ridge
from hipp_prune.questions.fingerprint import Origin, fingerprint_questions
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_splits
from hipp_prune.questions.specs import is_drawn
from hipp_prune.questions.survey import Survey, survey
from hipp_prune.questions.texts import draw_windows, fingerprint_text, read_general_text
from hipp_prune.stages.labelling import NO_BARS, Bars, ask_dense
from hipp_prune.stages.loading import (
    Model,
    Questions,
    draw_questions,
    given_questions,
    load,
    meet,
    name_of_model,
    read_ahead,
    refuse_several,
    source_names,
    writing,
)
from hipp_prune.stages.settings import CalibrateSettings, LoadSettings
from hipp_prune.stages.trial import try_model

_TRIED_QUESTIONS = 4
"""Questions whose tokens tell how many there will be."""
_TRIED_ROWS = 512
"""Rows of the product of matrices whose time tells what the Gram matrices take."""


def calibrate(
    model: Model,
    questions: Questions,
    out: Path,
    settings: CalibrateSettings = CalibrateSettings(),
    *,
    loading: LoadSettings = LoadSettings(),
    force: bool = False,
    skip_bad: SkipBad | None = None,
    announce: Callable[[str], None] | None = None,
    surveyed: Callable[[Survey], None] | None = None,
    labelling: Bars = NO_BARS,
    progress: Progress | None = None,
) -> RunDirectory:
    """Starts a run: measures the dense model on the calibration split (activations, Eq. 5–6, Taylor, Gram matrices).

    Before anything is written, the model is tried: see ``try_model``.

    Args:
        model: ``toy-llava``, ``toy-qwen2.5-vl``, a checkpoint folder or a hub name; or a model in memory.
        questions: sources, e.g. ``toyworld`` or ``pope:DIR``; or questions.
        out: run directory to make.
        settings: how many questions, how they are drawn and asked.
        loading: how the model is loaded.
        force: replaces an existing run.
        skip_bad: counts bad questions and pictures and leaves them out; None makes them errors.
        announce: told, before anything is measured, how many questions the dense model answers itself, how large the
            Gram matrices are going to be, and how long they take beside the rest.
        surveyed: told, before anything is measured, what every split holds.
        labelling: how far the dense model has got with questions that come without an answer.
        progress: told (questions done, questions in all).

    Raises:
        OutputExistsError: if ``out`` is there and ``force`` is false.
        InputError: for bad questions, images or models; see ``errors``.
    """
    run, seed = RunDirectory(out), settings.seed
    with writing(out):
        run.check(force=force)
        text, mixed = _general_text(settings)
        sources = () if given_questions(questions) else source_names(questions)
        early = not any(map(is_drawn, sources))
        if sources and early:  # what can be counted without drawing a picture
            ahead = _survey(sources, run, seed, surveyed, skip_bad)
        else:
            ahead = read_ahead(questions, run.cache, skip_bad)
        refuse_several(model, ahead, loading)
        adapter = load(model, loading)
        refuse_several(adapter, ahead)
        if distributed.is_first():
            try_model(adapter, model)
            footprint = _footprint(model, loading)
            start_list(out)
        with distributed.first():
            asked = draw_questions(questions, "calibration", cache=run.cache, seed=seed, skip_bad=skip_bad)
        if sources and not early:
            _survey(sources, run, seed, surveyed, skip_bad)
        labels = None
        if any(question.is_unlabelled for question in asked):
            labels = _labels(adapter, questions, run, settings, skip_bad, announce, labelling)
            asked = labels.complete(asked)
        sample = calibration_sample(asked, settings.count, seed=seed)
        layout = None
        if settings.compensation == "ridge":
            layout = gram_layout(adapter, sample, settings)
            if announce is not None:
                seconds = gram_seconds(adapter, layout, sample)
                announce(f"{layout}; about {_duration(seconds)} more than without them")
        if distributed.is_first():
            run.create(
                Provenance.now(
                    model=name_of_model(model),
                    weights=adapter.shape.fingerprint if isinstance(model, Adapter) else None,
                    questions=source_names(questions),
                    seed=seed,
                    general_text=mixed,
                    skip_bad=skip_bad is not None,
                )
            )
            _keep(run, footprint, labels)
        meet(run)
        calibrate_model(
            adapter,
            sample,
            run.calibration,
            batch_size=settings.batch_size,
            grams=None if layout is None else (run.grams, layout),
            general=text,
            progress=progress,
        )
    return run


def _footprint(model: Model, loading: LoadSettings) -> Footprint | None:
    """What a checkpoint's files hold; None of a model in memory, which has none."""
    if isinstance(model, Adapter):
        return None
    return measure_footprint(local_folder(model), trust_remote_code=loading.trust_remote_code)


def _keep(run: RunDirectory, footprint: Footprint | None, labels: Labels | None) -> None:
    """Writes what is known before anything is measured."""
    if footprint is not None:
        write_json(run.footprint, asdict(footprint))
    if labels is not None:
        labels.save(run.labels, run.object_labels)


def _labels(
    adapter: Adapter,
    questions: Questions,
    run: RunDirectory,
    settings: CalibrateSettings,
    skip_bad: SkipBad | None,
    announce: Callable[[str], None] | None,
    bars: Bars,
) -> Labels:
    """The dense model's own answers to all questions that come without one, whatever their split.

    Args:
        adapter: the dense model.
        questions: of every split.
        run: in whose cache pictures lie.
        settings: how it is asked.
        skip_bad: as in ``calibrate``.
        announce: as in ``calibrate``.
        bars: how far it has got.
    """
    with distributed.first():
        everything = draw_questions(questions, "all", cache=run.cache, seed=settings.seed, skip_bad=skip_bad)
    return ask_dense(adapter, everything, settings, announce=announce, bars=bars)


def _survey(
    questions: Sequence[str],
    run: RunDirectory,
    seed: int,
    surveyed: Callable[[Survey], None] | None,
    skip_bad: SkipBad | None,
) -> list[Question]:
    """Counts the questions of every split, which all must have some, and returns them all."""
    splits = load_splits(
        questions, cache=run.cache, seed=seed, skip_bad=None if skip_bad is None else SkipBad()
    )
    if surveyed is not None:
        surveyed(survey(splits))
    return [question for members in splits.values() for question in members]


def calibrate_model(
    adapter: Adapter,
    sample: Sequence[Question],
    out: Path,
    *,
    batch_size: int = CalibrateSettings().batch_size,
    grams: tuple[Path, GramLayout] | None = None,
    general: GeneralText | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Measures a loaded model on a sample, and writes the statistics once.

    Args:
        adapter: the dense model.
        sample: the calibration questions.
        out: file to write.
        batch_size: questions a forward pass.
        grams: file of the Gram matrices to write too, and how they lie in it; their ridge is chosen at the end.
        general: text that they hold a share of.
        progress: told (questions done, questions in all).
    """
    origin = Origin(weights=adapter.shape.fingerprint, questions=fingerprint_questions(sample))
    with nullcontext() if grams is None else gather_grams(*grams, origin) as gathered:
        calibration = measure(
            adapter, sample, batch_size=batch_size, grams=gathered, general=general, progress=progress
        )
        if gathered is not None and distributed.is_first():
            gathered.factor = choose_ridge(adapter, calibration, gathered)
    if distributed.is_first():
        calibration.save(out)
    distributed.barrier()
    return calibration


def _general_text(settings: CalibrateSettings) -> tuple[GeneralText | None, MixedText | None]:
    """The windows that calibration reads, as many as questions at most, and what the run says of them.

    Raises:
        QuestionError: if a file is missing, or no text.
    """
    if not settings.general_text:
        return None, None
    text, share = read_general_text(settings.general_text), settings.general_share
    files = tuple(map(str, settings.general_text))
    windows = draw_windows(text, settings.count, seed=settings.seed)
    return GeneralText(windows=windows, share=share), MixedText(
        files=files, fingerprint=fingerprint_text(text), share=share
    )


@torch.no_grad()
def gram_layout(adapter: Adapter, sample: Sequence[Question], settings: CalibrateSettings) -> GramLayout:
    """How the Gram matrices are kept: mixed, where the disk is short, as the first batch has image and text tokens.

    Raises:
        InputError: if even then they need more than ``settings.gram_disk``.
    """
    widths = [block.down.in_features for block in adapter.blocks]
    apart = fit_layout(widths, settings.gram_disk * 1e9)
    if apart is not None:
        return apart
    batch, _ = next(batches(adapter, sample, settings.batch_size))
    return GramLayout(widths=tuple(widths), weights=token_weights(batch))


@torch.no_grad()
def gram_seconds(adapter: Adapter, layout: GramLayout, sample: Sequence[Question]) -> float:
    """About how many seconds the Gram matrices of a sample take, from a small product of matrices that is timed.

    Args:
        adapter: the dense model.
        layout: of the Gram matrices.
        sample: the calibration questions; of several workers each has a share.
    """
    batch, _ = next(batches(adapter, sample[:_TRIED_QUESTIONS], _TRIED_QUESTIONS))
    tokens = int(batch.attention_mask.sum()) * len(sample) / len(batch.last) / distributed.num_workers()
    widest, device = max(layout.widths), adapter.blocks[0].down.weight.device
    few = torch.ones(widest, min(int(tokens) + 1, 1024), device=device)
    with products_of(adapter.model.dtype):
        for _ in range(2):  # the first one warms up
            start = time.perf_counter()
            float((few[:_TRIED_ROWS] @ few.T)[0, 0])
            seconds = time.perf_counter() - start
    done = len(few[:_TRIED_ROWS]) * widest * few.shape[1]
    return seconds / done * sum(width * (width + 1) / 2 for width in layout.widths) * tokens


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
