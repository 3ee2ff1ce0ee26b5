"""How a model is loaded, what a calibrated run starts with, and where pictures are drawn."""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Literal

import torch

from hipp_prune import distributed
from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.checkpoints.saving import save_model
from hipp_prune.checkpoints.separate import separate_plan
from hipp_prune.errors import InputError, QuestionError, RunError
from hipp_prune.evaluation.labels import Labels
from hipp_prune.files.faults import shown
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.machine import usable_cpus
from hipp_prune.files.replacing import is_alive
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.capabilities import refuse_incapable
from hipp_prune.models.devices import SPLIT, describe_device, parse_device, slow_precision, useful_threads
from hipp_prune.models.loading import local_folder, parse_dtype
from hipp_prune.models.refusals import refuse_early
from hipp_prune.models.uneven import is_elastic_plan
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.fingerprint import fingerprint_questions
from hipp_prune.questions.groups import merge_groups
from hipp_prune.questions.images import check_images
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.own.memory import load_rows
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.specs import is_drawn
from hipp_prune.questions.splits import Split, divide
from hipp_prune.stages.settings import LoadSettings

Model = str | Path | Adapter
"""A model's name or folder; or one that is in memory already, as ``models.loaded`` returns it."""

QuestionsInMemory = Sequence[Question] | Sequence[Mapping[str, Any]]
"""Questions, or rows of them as a table of one's own has them: ``{"image": picture, "question": …, "answer": …}``."""

Questions = Sequence[str] | QuestionsInMemory
"""Sources of questions, as ``--questions`` names them; or the questions themselves."""

IN_MEMORY = " questions in memory"
"""What a run says, after their number, of questions that no source names."""
_TEMPORARY = "hipp-prune-"
"""How our folders in the system's temporary folder begin; the process comes next."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""What a user sets who has decided how many threads there are to be."""
_at_first = _chosen = torch.get_num_threads()
"""Threads before we changed anything, and since; another number is the user's."""
_log = logging.getLogger("hipp_prune")


def load(model: Model, loading: LoadSettings = LoadSettings(), *, quantised: bool = False) -> Adapter:
    """Opens a checkpoint, dense or pruned, behind the adapter of its family; a model in memory stays as it is.

    Threads are set to suit the model, the logger ``hipp_prune`` is told its device. ``quantised``: it is only asked.

    Raises:
        UnsupportedModelError, CheckpointError: see ``load_model``.
    """
    if isinstance(model, Adapter):
        return model
    adapter = load_model(
        model,
        device=loading.device,
        dtype=loading.dtype,
        trust_remote_code=loading.trust_remote_code,
        quantised=quantised,
    )
    set_threads(adapter.shape.language_parameters)
    devices = dict.fromkeys(parameter.device for parameter in adapter.model.parameters())
    _say(logging.INFO, f"device: {', '.join(map(describe_device, devices))}")
    if (slow := slow_precision(adapter.device, adapter.model.dtype)) is not None:
        _say(logging.WARNING, slow)
    return adapter


def set_threads(parameters: int) -> None:
    """Has torch use the threads that suit a language model of so many parameters, unless the user has decided that."""
    global _chosen
    if any(name in os.environ for name in _THREADS) or torch.get_num_threads() not in (_at_first, _chosen):
        return
    _chosen = min(_at_first, useful_threads(parameters, usable_cpus()))
    torch.set_num_threads(_chosen)


@cache
def _say(level: int, sentence: str) -> None:
    """Tells our logger something, once."""
    _log.log(level, sentence)


def name_of_model(model: Model) -> str:
    """What a run and its tables call a model: a model in memory goes by the name it was loaded by, if it was."""
    if not isinstance(model, Adapter):
        return str(model)
    return model.model.name_or_path or f"{type(model.model).__name__} in memory"


@contextmanager
def source_folder(model: Model) -> Iterator[Path]:
    """The checkpoint folder of a model; where it has none of its own, a temporary one, gone afterwards.

    That is written of a model in memory, and of a plan of an elastic checkpoint.

    Raises:
        CheckpointError: if there is none, or the disk is full.
    """
    folder = None if isinstance(model, Adapter) else local_folder(model)
    if folder is not None and not is_elastic_plan(folder):
        yield folder
        return
    with cache_folder(None) as temporary:
        written = temporary / ("model" if folder is None else folder.name)
        if isinstance(model, Adapter):
            save_model(model.model, model.processor, written)
        else:
            separate_plan(local_folder(model), written)
        yield written


def draw_questions(
    questions: Questions,
    split: Split | Literal["all"],
    *,
    cache: Path,
    seed: int = 0,
    skip_bad: SkipBad | None = None,
) -> list[Question]:
    """The questions of a split; see ``load_questions``.

    Args:
        questions: sources, or questions that are divided here.
        split: which share.
        cache: where the embedded world is drawn.
        seed: of the division into splits.
        skip_bad: counts bad questions and pictures and leaves them out; None makes them errors.

    Raises:
        QuestionError: if there are none, or as ``load_questions`` says.
        ImageError: pictures that are missing or cannot be decoded.
    """
    given = _loaded(given_questions(questions), Loading(options={}, skip_bad=skip_bad, cache=cache))
    if not given:
        return load_questions(source_names(questions), split, cache=cache, seed=seed, skip_bad=skip_bad)
    shares: dict[str, list[Question]] = {"all": given}
    shares |= {name: members for name, members in divide(given, seed=seed).items()}
    if not shares[split]:
        counts = ", ".join(f"{name} {len(members)}" for name, members in shares.items())
        raise QuestionError(
            f"expected questions in split {split}, found none: the {len(given)} given are split into {counts}; give "
            "more questions, about more pictures"
        )
    return merge_groups(check_images(shares[split], skip_bad))


def given_questions(questions: Questions) -> QuestionsInMemory:
    """Questions or rows that are in memory; none where sources were given.

    Raises:
        InputError: if they are something else, or of several types.
    """
    for kind in (str, Question, Mapping):
        if not isinstance(questions, str) and all(isinstance(each, kind) for each in questions):
            return () if kind is str else list(questions)  # type: ignore[return-value]
    found = (
        shown(questions)
        if isinstance(questions, str)
        else type(next(iter(questions))).__name__ + " and others"
    )
    raise InputError(
        f"expected questions as a list of sources, of Question, or of rows such as {{'image': …, 'question': …, "
        f"'answer': …}}, and not of several of these, found {found}; give such a list"
    )


def _loaded(given: QuestionsInMemory, how: Loading) -> list[Question]:
    """Questions as they are, and what rows ask."""
    rows = [each for each in given if not isinstance(each, Question)]
    if rows:
        return load_rows(rows, how)
    return [each for each in given if isinstance(each, Question)]


def read_ahead(questions: Questions, cache: Path, skip_bad: SkipBad | None = None) -> list[Question]:
    """What is asked in any split, as far as that is known before a picture is drawn or opened.

    Args:
        questions: sources, or questions.
        cache: where pictures are going to be.
        skip_bad: bad questions are left out, and counted later; None makes them errors.

    Raises:
        QuestionError: a source or row that cannot be read.
    """
    skip_bad = None if skip_bad is None else SkipBad()
    if given := given_questions(questions):
        return _loaded(given, Loading(options={}, skip_bad=skip_bad, cache=cache, need_images=False))
    files = [source for source in source_names(questions) if not is_drawn(source)]
    return load_questions(files, "all", cache=cache, skip_bad=skip_bad, need_images=False)


def source_names(questions: Questions) -> tuple[str, ...]:
    """What a run says of where its questions come from."""
    if given := given_questions(questions):
        return (f"{len(given)}{IN_MEMORY}",)
    return tuple(each for each in questions if isinstance(each, str))


def refuse_several(
    model: Model, questions: Iterable[Question], loading: LoadSettings = LoadSettings()
) -> None:
    """Refuses questions about several pictures where the model's family takes one, before a weight is read.

    Raises:
        UnsupportedModelError: with the family's reason, or of a model in memory with the numbers.
    """
    most = max(questions, key=lambda question: len(question.images), default=None)
    if most is None or len(most.images) < 2:
        return
    if isinstance(model, Adapter):
        model.check_number(most)
    else:
        refuse_incapable(model, "several pictures", trust_remote_code=loading.trust_remote_code)


def check_model(
    model: str | Path,
    loading: LoadSettings = LoadSettings(),
    *,
    quantised: bool = False,
    weights: bool = True,
) -> Path:
    """The folder of a model, after all that can be refused without reading a weight; a hub name is downloaded.

    Args:
        model: checkpoint folder or hub name.
        loading: how it would be loaded.
        quantised: as for ``load``.
        weights: as for ``local_folder``.

    Raises:
        UnsupportedModelError, CheckpointError: see ``load_model``.
        InputError: for a device or type that there is not.
    """
    if loading.device != SPLIT:
        parse_device(loading.device)
    parse_dtype(loading.dtype)
    folder = local_folder(model, weights=weights)
    refuse_early(folder, trust_remote_code=loading.trust_remote_code, quantised=quantised)
    return folder


@dataclass(frozen=True)
class CalibratedRun:
    """A run directory that has been calibrated."""

    directory: RunDirectory
    provenance: Provenance
    given: QuestionsInMemory = ()
    """Its questions, where it has no sources of them."""

    @classmethod
    def open(cls, root: Path, questions: QuestionsInMemory = ()) -> "CalibratedRun":
        """Finds out what a run is of; one that was calibrated on questions in memory has to be given them.

        Raises:
            IncompleteRunError: if it is no run directory, or has not been calibrated.
        """
        directory = RunDirectory(root)
        provenance = directory.provenance()
        directory.require(directory.calibration, made_by=directory.calibrate_again())
        return cls(directory, provenance, given_questions(questions))

    def calibration(self, adapter: Adapter) -> Calibration:
        """The statistics of the dense model, which ``adapter`` must be.

        Raises:
            RunError: if its weights are others, or the file is no longer what we wrote.
        """
        return self.check_weights(adapter.shape.fingerprint)

    def check_weights(self, fingerprint: str) -> Calibration:
        """The statistics of the dense model, whose ``ModelShape.fingerprint`` must be this.

        Raises:
            RunError: if it is another, or the file is no longer what we wrote.
        """
        path = self.directory.calibration
        calibration = Calibration.load(path)
        calibration.check_model(fingerprint, path=path)
        return calibration

    def grams(self) -> Grams | None:
        """The dense model's Gram matrices, where ``calibrate`` was asked for them.

        Raises:
            RunError: if the file is no longer what we wrote.
        """
        return Grams.load(self.directory.grams) if self.directory.grams.exists() else None

    def questions(self, split: Split, *, skip_bad: SkipBad | None = None) -> list[Question]:
        """The questions of a split, labelled as ``calibrate`` found the dense model to answer where nobody else has.

        Of several workers, the first one draws pictures that are not there yet. Bad questions and pictures are counted
        in ``skip_bad``, or left out uncounted where ``calibrate`` did so and there is no counter.
        """
        asked, seed = self.given or self.provenance.questions, self.provenance.seed
        if self.provenance.skip_bad and skip_bad is None:
            skip_bad = SkipBad()
        with distributed.first():
            found = draw_questions(asked, split, cache=self.directory.cache, seed=seed, skip_bad=skip_bad)
        if not any(question.is_unlabelled for question in found):
            return found
        return read_labels(self.directory).complete(found)

    def sample(self, calibration: Calibration, *, skip_bad: SkipBad | None = None) -> list[Question]:
        """The questions it was calibrated on, drawn again: as many, or of more where a benchmark ran out.

        Raises:
            RunError: if they have changed.
        """
        asked, number = self.questions("calibration", skip_bad=skip_bad), calibration.num_questions
        for count in range(number, 2 * number + 1):
            sample = calibration_sample(asked, count, seed=self.provenance.seed)
            if len(sample) == number and fingerprint_questions(sample) == calibration.origin.questions:
                return sample
        raise RunError(
            f"the {number} calibration questions of {self.directory.root} cannot be drawn again from its "
            f"{len(asked)} questions; they have changed, so calibrate again"
        )


def read_labels(directory: RunDirectory) -> Labels:
    """The dense model's answers to the run's questions without one.

    Raises:
        IncompleteRunError: if the run has none.
        RunError: if a file is no longer what we wrote.
    """
    labels = directory.require(directory.labels, made_by=directory.calibrate_again())
    return Labels.load(labels, directory.object_labels)


def meet(directory: RunDirectory) -> None:
    """Waits for all workers and makes sure that they see one run directory.

    Raises:
        RunError: naming a worker that sees another.
    """
    distributed.barrier()
    manifest = directory.manifest.read_bytes() if directory.manifest.exists() else b""
    distributed.agree(f"the run directory {directory.root}", manifest)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Makes this command the sole writer of a run, a comparison or an output; of several workers, the first one.

    Raises:
        RunError: if another process is writing it, saying which and since when.
    """
    with sole_writer(target) if distributed.is_first() else nullcontext():
        yield


@contextmanager
def cache_folder(cache: Path | None) -> Iterator[Path]:
    """``cache``, or a temporary folder that is gone afterwards; those of processes that were killed go first."""
    if cache is not None:
        yield cache
        return
    _sweep(Path(gettempdir()))
    with TemporaryDirectory(prefix=f"{_TEMPORARY}{os.getpid()}-") as folder:
        yield Path(folder)


def _sweep(temporary: Path) -> None:
    """Removes our temporary folders whose process is gone."""
    for folder in temporary.glob(f"{_TEMPORARY}*-*"):
        process = folder.name.removeprefix(_TEMPORARY).partition("-")[0]
        if process.isdecimal() and folder.is_dir() and not is_alive(int(process)):
            shutil.rmtree(folder, ignore_errors=True)
