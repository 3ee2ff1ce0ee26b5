"""Builds a rung: question files, the untrained model, the trained one; what is there already is not made again.

::

    OUT/training/           what is taught: question files and pictures
    OUT/questions/          what is asked: the same about other pictures, facts in other words; open prompts
    OUT/controls/           of photographs: other pictures by the names of those that are asked about
    OUT/maps/               of photographs: what the tower says of those that are taught
    OUT/texts/              prose to measure general ability on, and other prose to calibrate on
    OUT/untrained/          the assembled model before it learnt anything
    OUT/model/              the trained one
    OUT/settings.json       what was asked for; anything else is refused
    OUT/build.log           every line that was said
"""

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig, EfficientNetModel

from hipp_prune.calibration.grams import products_of
from hipp_prune.errors import OutputExistsError, RunError
from hipp_prune.experiments.narrator import Narrator
from hipp_prune.experiments.photo.drawn_rung import DrawnRung
from hipp_prune.experiments.photo.photograph_rung import PhotographRung
from hipp_prune.experiments.photo.rung import Language, Rung
from hipp_prune.experiments.photo.settings import PhotoSettings
from hipp_prune.experiments.photo.texts import write_texts
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
from hipp_prune.recovery.recover import discard_finished
from hipp_prune.stages.recover import recover_on

_TOLD = 20
"""Steps whose losses the log tells as one."""

_OTHERWISE = "choose another --out"


def build_rung(
    out: Path,
    settings: PhotoSettings = PhotoSettings(),
    *,
    language: Language | None = None,
    tower: Callable[[], EfficientNetModel] | None = None,
    say: Say | None = None,
    encoding: Progress | None = None,
    progress: Progress | None = None,
) -> Path:
    """Makes what is missing in ``out``, and goes on with a training that was cut off.

    Args:
        out: folder of the rung; SmolLM2 is unpacked into it too.
        settings: what is built, and how long it learns.
        language: gives another language model, e.g. for a test.
        tower: gives another tower for photographs.
        say: told a line about every part.
        encoding: told (photographs seen, photographs in all).
        progress: told (steps done, steps).

    Returns:
        The folder of the trained model.

    Raises:
        InputError: if a package is not installed, or the photographs are too few or their annotations damaged.
        OutputExistsError: if ``out`` is something else that we wrote, or a file.
        RunError: if the disk is full, or what is in ``out`` was begun with other settings or is no longer what we
            wrote.
    """
    if (found := described(out)) is not None:
        raise OutputExistsError(
            f"expected a folder for models and questions, but {found}; choose another --out"
        )
    settings = settings.settled
    rung = _rung(out, settings, language, tower)
    if not (out / "untrained").is_dir():
        rung.require()  # before pictures are drawn for a minute
    _settle(out / "settings.json", settings)
    for name in ("smollm2", *rung.collections, "texts", "untrained", "model"):
        with sole_writer(out / name):  # what a killed one left goes
            discard_finished(out / name)
        check_all(out / name)
    narrate = Narrator(out / "build.log", say)
    narrate(f"hipp-prune photo build --out {out}: {settings.document}")
    for name in rung.collections:
        if not (out / name).is_dir():
            with sole_writer(out / name), new_folder(out / name) as folder:
                counts = rung.write(name, folder, encoding)
            narrate(f"{name}: " + ", ".join(f"{what} {count:,}" for what, count in counts.items()))
    if not (out / "texts").is_dir():
        with sole_writer(out / "texts"), new_folder(out / "texts") as folder:
            counts = write_texts(folder)
        narrate("texts: " + ", ".join(f"{name} {count:,} characters" for name, count in counts.items()))
    if not (out / "untrained").is_dir():
        with sole_writer(out / "untrained"), new_folder(out / "untrained") as folder:
            said = rung.assemble(folder)
        narrate(f"projector: {said}")
    if not (out / "model").is_dir():
        _teach(rung, narrate, progress)
    return out / "model"


def asked_of(out: Path, settings: PhotoSettings) -> list[str]:
    """Sources of the questions that a rung asks."""
    return _rung(out, settings).asked


def _rung(
    out: Path,
    settings: PhotoSettings,
    language: Language | None = None,
    tower: Callable[[], EfficientNetModel] | None = None,
) -> Rung:
    if settings.rung == "drawn":
        return DrawnRung(out=out, settings=settings, language=language)
    return PhotographRung(out=out, settings=settings, language=language, tower=tower)


def _settle(path: Path, settings: PhotoSettings) -> None:
    """Notes the settings in ``path``, or compares them with what is there.

    Raises:
        RunError: if they are others.
    """
    if path.is_file():
        begun = read_document(path, PhotoSettings, remedy=_OTHERWISE, error=RunError)
        refuse_changes(path.parent, begun.document, settings.document, remedy=_OTHERWISE)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        clean(path.parent, path.name)
        write_json(path, settings.document)


def _teach(rung: Rung, narrate: Say, progress: Progress | None) -> None:
    out, settings = rung.out, rung.settings
    asked = load_questions(rung.taught, "all", cache=out)
    config = AutoConfig.from_pretrained(out / "untrained", local_files_only=True)
    blocks = int(config.get_text_config(decoder=True).num_hidden_layers)
    with products_of(getattr(torch, settings.products)):
        report = recover_on(
            asked,
            out / "untrained",
            out / "model",
            settings.recovery(blocks),
            provenance=Provenance.now(
                model=str(out / "untrained"), questions=tuple(rung.taught), seed=settings.seed
            ),
            features=rung.features,
            progress=progress,
        )
    narrate(f"trained {report.steps} steps: loss {report.loss_before:.3f} → {report.loss_after:.3f}")
    for start in range(0, report.steps, _TOLD):
        part = report.losses[start : start + _TOLD]
        narrate(f"steps {start + 1} to {start + len(part)}: mean loss {sum(part) / len(part):.3f}")
