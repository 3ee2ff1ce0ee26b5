"""Builds a rung: question files, the untrained model, the trained one; what is there already is not made again.

::

    OUT/training/           what is taught: a file a task, and pictures
    OUT/questions/          what is asked: the same tasks about other pictures, facts in other words; open prompts
    OUT/texts/              prose to measure general ability on, and other prose to calibrate on
    OUT/untrained/          the assembled model before it learnt anything
    OUT/model/              the trained one
    OUT/settings.json       what was asked for; anything else is refused
    OUT/build.log           every line that was said
"""

from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import get_args

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from hipp_prune.calibration.grams import products_of
from hipp_prune.errors import OutputExistsError, RunError
from hipp_prune.experiments.narrator import Narrator
from hipp_prune.experiments.photo import assembly
from hipp_prune.experiments.photo.drawn import Collection, write_collection
from hipp_prune.experiments.photo.settings import PhotoSettings
from hipp_prune.experiments.photo.texts import write_texts
from hipp_prune.experiments.smollm2 import load_smollm2, require_smollm2
from hipp_prune.files.changes import refuse_changes
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.manifest import check_all
from hipp_prune.files.places import described
from hipp_prune.files.progress import Progress, Say
from hipp_prune.files.reading import read_document
from hipp_prune.files.replacing import clean, new_folder
from hipp_prune.files.run_directory import Provenance
from hipp_prune.files.writing import write_json
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.toyworld.scenes import scenes
from hipp_prune.recovery.recover import discard_finished
from hipp_prune.stages.recover import recover_on

_FITTED = 400
"""Scenes the projector is fitted on."""

_TOLD = 20
"""Steps whose losses the log tells as one."""

_OTHERWISE = "choose another --out"

_PLACES = ("smollm2", *get_args(Collection), "texts", "untrained", "model")
"""Folders of a rung, in the order in which they are made."""

Language = Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerBase]]
"""Gives the language model and its tokenizer."""


def build_rung(
    out: Path,
    settings: PhotoSettings = PhotoSettings(),
    *,
    language: Language | None = None,
    say: Say | None = None,
    progress: Progress | None = None,
) -> Path:
    """Makes what is missing in ``out``, and goes on with a training that was cut off.

    Args:
        out: folder of the rung; SmolLM2 is unpacked into it too.
        settings: what is built, and how long it learns.
        language: gives another language model, e.g. for a test.
        say: told a line about every part.
        progress: told (steps done, steps).

    Returns:
        The folder of the trained model.

    Raises:
        InputError: if SmolLM2's package is not installed.
        OutputExistsError: if ``out`` is something else that we wrote, or a file.
        RunError: if the disk is full, or what is in ``out`` was begun with other settings or is no longer what we
            wrote.
    """
    if (found := described(out)) is not None:
        raise OutputExistsError(
            f"expected a folder for models and questions, but {found}; choose another --out"
        )
    if language is None and not (out / "untrained").is_dir():
        require_smollm2(out)  # before pictures are drawn for a minute
    _settle(out / "settings.json", settings)
    for name in _PLACES:
        with sole_writer(out / name):  # what a killed one left goes
            discard_finished(out / name)
        check_all(out / name)
    narrate = Narrator(out / "build.log", say)
    narrate(f"hipp-prune photo build --out {out}: {settings}")
    for name in get_args(Collection):
        if not (out / name).is_dir():
            with sole_writer(out / name), new_folder(out / name) as folder:
                counts = write_collection(folder, name, settings)
            narrate(f"{name}: " + ", ".join(f"{task} {count:,}" for task, count in counts.items()))
    if not (out / "texts").is_dir():
        with sole_writer(out / "texts"), new_folder(out / "texts") as folder:
            counts = write_texts(folder)
        narrate("texts: " + ", ".join(f"{name} {count:,} characters" for name, count in counts.items()))
    blocks = _assemble(out, settings, language or (lambda: load_smollm2(out)), narrate)
    if not (out / "model").is_dir():
        _teach(out, settings, blocks, narrate, progress)
    return out / "model"


def _settle(path: Path, settings: PhotoSettings) -> None:
    """Notes the settings in ``path``, or compares them with what is there.

    Raises:
        RunError: if they are others.
    """
    if path.is_file():
        begun = read_document(path, PhotoSettings, remedy=_OTHERWISE, error=RunError)
        refuse_changes(path.parent, asdict(begun), asdict(settings), remedy=_OTHERWISE)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        clean(path.parent, path.name)
        write_json(path, asdict(settings))


def _assemble(out: Path, settings: PhotoSettings, language: Language, narrate: Say) -> int:
    """Writes the untrained model unless it is there; returns how many language blocks it has."""
    place = out / "untrained"
    if not place.is_dir():
        model, tokenizer = language()
        made = assembly.assemble(model, tokenizer, seed=settings.seed)
        shown = list(islice(scenes(settings.seed, "photo projector"), _FITTED))
        explained = assembly.fit_projector(made, tokenizer, shown)
        narrate(f"projector: explains {explained:.3f} of its words' variance over {_FITTED} scenes")
        with sole_writer(place), new_folder(place) as folder:
            assembly.save_assembled(made, tokenizer, folder)
    config = AutoConfig.from_pretrained(place, local_files_only=True)
    return int(config.get_text_config(decoder=True).num_hidden_layers)


def _teach(out: Path, settings: PhotoSettings, blocks: int, narrate: Say, progress: Progress | None) -> None:
    sources = [str(out / "training" / f"{task}.jsonl") for task in settings.tasks]
    asked = load_questions(sources, "all", cache=out)
    with products_of(getattr(torch, settings.products)):
        report = recover_on(
            asked,
            out / "untrained",
            out / "model",
            settings.recovery(blocks),
            provenance=Provenance.now(
                model=str(out / "untrained"), questions=tuple(sources), seed=settings.seed
            ),
            progress=progress,
        )
    narrate(f"trained {report.steps} steps: loss {report.loss_before:.3f} → {report.loss_after:.3f}")
    for start in range(0, report.steps, _TOLD):
        part = report.losses[start : start + _TOLD]
        narrate(f"steps {start + 1} to {start + len(part)}: mean loss {sum(part) / len(part):.3f}")
