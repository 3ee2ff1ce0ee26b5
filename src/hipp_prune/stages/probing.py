"""What stages take here, found in seconds: on a few questions with the model itself, or by one product of matrices."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from torch.nn.functional import linear

from hipp_prune.calibration.gradients import score_taylor
from hipp_prune.calibration.measurement import observe
from hipp_prune.evaluation.asserted_objects import ask_objects
from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.evaluation.free_answers import FreeAnswer, answer_freely, label
from hipp_prune.evaluation.labels import Labels
from hipp_prune.evaluation.scorecard import evaluate_model
from hipp_prune.files.machine import free_disk
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.images import read_image
from hipp_prune.questions.minibatches import Minibatches, draw_minibatch
from hipp_prune.questions.question import Question, group_of, pictures_of
from hipp_prune.recovery.parts import unfreeze
from hipp_prune.recovery.pictures import Show, frozen_pictures
from hipp_prune.recovery.recover import shown_pictures
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.recovery.state import StateFile
from hipp_prune.recovery.training import Student, train
from hipp_prune.stages.loading import cache_folder
from hipp_prune.stages.rates import ROWS, Machine, Rates

PROBED = ("calibration", "search", "test")
"""Splits of whose questions a few are asked."""

_PRODUCT = 2048
"""Rows and columns of the matrices whose product is timed."""
_WIDE = 16384
"""Columns of a matrix that fills no cache, and is multiplied by few rows as when answers are written."""
_PATIENCE = 1.5
"""Seconds that timing a product may take."""
_WRITTEN, _LEAST, _MOST = 2**24, 4, 32
"""Bytes that are written to find out how fast that is, and how often at least and at most, into one file."""
_PART, _ROUNDS = 16, 2
"""What part of the bytes that will be written is tried at once, and how often."""
_STEPS = 5
"""Steps of recovery that are done: the first one warms up, and the last one ends with writing the state."""
_BATCHES = 2
"""Of recovery, whose questions these steps draw from."""
_BATCH, _MINIBATCH, _EVALUATED = 16, 32, 256
"""Questions that calibration, a search's evaluation and evaluate are timed on."""
_LONG = 4.0
"""Seconds beyond which nothing is tried twice."""
_PICTURES = 8
"""Pictures whose encoding is timed."""


def machine_speeds(device: torch.device, dtype: torch.dtype, size: int) -> Machine:
    """Speeds of this machine, found in seconds.

    Args:
        device: that the work is done on.
        dtype: of the model.
        size: bytes that will be written.
    """
    start, worked = time.perf_counter(), time.process_time()
    speed = product_speed(device, dtype)
    full = speed if dtype == torch.float32 else product_speed(device, torch.float32)
    thin = product_speed(device, dtype, rows=ROWS, columns=_WIDE)
    share = (time.process_time() - worked) / (time.perf_counter() - start) / torch.get_num_threads()
    on_gpu = device.type != "cpu"
    byte, read = byte_seconds(size)
    return Machine(
        speed=speed,
        full_speed=full,
        thin_speed=thin,
        byte=byte,
        read=read,
        weighed=weight_seconds(device, dtype),
        on_gpu=on_gpu,
        share=1.0 if on_gpu else min(1.0, share),
    )


def product_speed(
    device: torch.device, dtype: torch.dtype, *, rows: int = _PRODUCT // 4, columns: int = _PRODUCT
) -> float:
    """Operations a second of a product of matrices on a device, as a layer does it, one after the other for a second.

    They are as slow as other programs make them, as whatever is going to be computed here.

    Args:
        device: that it is done on.
        dtype: of the matrices.
        rows: of the left one.
        columns: of the right one.
    """
    left = torch.ones(rows, _PRODUCT, device=device, dtype=dtype)
    right = torch.ones(columns, _PRODUCT, device=device, dtype=dtype)
    linear(left, right)[0, 0].item()  # the first one warms up
    seconds = [clocked(lambda: linear(left, right)[0, 0].item())]
    while sum(seconds) < _PATIENCE / 2:
        seconds.append(clocked(lambda: linear(left, right)[0, 0].item()))
    return 2 * left.numel() * columns * len(seconds) / sum(seconds)


def byte_seconds(size: int) -> tuple[float, float]:
    """Seconds to write a byte and to read it again for its checksum, and of these the seconds to read it.

    A file is written, removed and written again: the first one may take memory that nothing has used for long, which
    costs a virtual machine ten times what the memory costs that the first one gave back.

    Args:
        size: bytes that will be written: of so many each costs more than of a few.
    """
    times = min(
        max(_LEAST, size // (_PART * _WRITTEN)), _MOST, free_disk(Path(gettempdir())) // (2 * _WRITTEN)
    )
    content = np.random.default_rng(0).bytes(_WRITTEN)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            for _ in range(times):
                file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def read(path: Path) -> None:
        with path.open("rb") as file:
            file_digest(file, "sha256")

    writing = reading = 0.0
    with cache_folder(None) as place:
        path = place / "probe"
        for _ in range(_ROUNDS):
            path.unlink(missing_ok=True)
            writing += clocked(lambda: write(path))
            reading += clocked(lambda: read(path))
    each = _ROUNDS * max(1, times) * _WRITTEN
    return (writing + reading) / each, reading / each


def weight_seconds(device: torch.device, dtype: torch.dtype) -> float:
    """Seconds to sum a weight's absolute value up in float64, as ranking neurons does again and again."""
    weights = torch.ones(_PRODUCT, 8 * _PRODUCT, device=device, dtype=dtype)
    exact = torch.float32 if device.type == "mps" else torch.float64
    return fastest(lambda: weights.abs().sum(dim=1, dtype=exact)[0].item()) / weights.numel()


def measured_rates(
    adapter: Adapter,
    asked: Mapping[str, Sequence[Question]],
    *,
    per_image: int,
    load: float,
    first: float,
    trial: float,
    machine: Machine,
    pass_seconds: float,
    recovery: RecoverySettings | None = None,
) -> Rates | None:
    """Rates of a loaded model, each by the function that the stage itself calls, on a few of its questions.

    None where these come without an answer, and the dense model has none to those of a split.

    Args:
        adapter: the dense model.
        asked: the questions of ``PROBED``; of these, the dense model answers a few that have no answer.
        per_image: questions about the same pictures in a search's minibatch.
        load: seconds that opening the model took.
        first: seconds that it took longer for the first time.
        trial: seconds that trying it took.
        machine: its speeds.
        pass_seconds: that the products of a question of a minibatch take, as computed.
        recovery: of the recovery, a few of whose steps are done; None where there is none, or no room for it.
    """
    (calibration, search, test), answered, looked = _labelled(adapter, [asked[name] for name in PROBED])
    if not (calibration and search and test):
        return None
    few = sorted(calibration, key=lambda each: (not each.images, group_of(each.images, "")))[:_BATCH]
    picture = _picture_seconds(adapter, few)
    pictures = len(pictures_of(few))
    observed = fastest(lambda: observe(adapter, few, batch_size=_BATCH)) - pictures * picture
    searched = _searched(adapter, search, per_image)
    step, shown = (None, None) if recovery is None else _recovered(adapter, asked["recovery"], recovery)
    one, two = (fastest(lambda n=number: score_taylor(adapter, few[:n])) for number in (1, 2))  # type: ignore[misc]
    return Rates(
        load=load,
        first=first,
        trial=trial,
        picture=picture,
        observed=max(0.0, observed) / len(few),
        taylor=max(two / 2, (one + max(0.0, two - one) * 9) / 10) - len(few[0].images) * picture,
        searched=searched,
        evaluated=_evaluated(adapter, test),
        timed=_timed(adapter, test),
        answered=answered,
        looked=looked,
        step=step,
        shown=shown,
        byte=machine.byte,
        read=machine.read,
        weighed=machine.weighed,
        product=1 / machine.full_speed,
        products=min(1.0, pass_seconds / searched),
        full=max(1.0, machine.speed / machine.full_speed),
    )


def _labelled(
    adapter: Adapter, splits: Sequence[Sequence[Question]]
) -> tuple[list[list[Question]], float, float]:
    """A few questions of each split with the dense model's own answers, and what one of them and one picture took.

    Splits whose questions have their answers stay whole, and take no time.
    """
    if not any(question.is_unlabelled for questions in splits for question in questions):
        return [list(questions) for questions in splits], 0.0, 0.0
    few = [list(questions[:_PICTURES]) for questions in splits]
    asked = [question for questions in few for question in questions if question.is_unlabelled]
    answers, objects = list[FreeAnswer](), list[Question]()
    answering = clocked(lambda: answers.extend(answer_freely(adapter, asked)))
    looking = clocked(lambda: objects.extend(ask_objects(adapter, asked)))
    labels = Labels(answers=tuple(label(asked, answers)), objects=tuple(objects))
    pictures = len(pictures_of(asked))
    return (
        [labels.complete(questions) for questions in few],
        answering / len(asked),
        looking / max(1, pictures),
    )


def labelling_probe(rates: Rates) -> float:
    """Seconds that measuring takes longer where questions come without an answer."""
    return len(PROBED) * _PICTURES * (rates.answered + rates.looked)


def _picture_seconds(adapter: Adapter, questions: Sequence[Question]) -> float:
    paths = pictures_of(questions)[:_PICTURES]
    if not paths:
        return 0.0
    with torch.inference_mode():
        adapter.encode_images([read_image(paths[0])])  # the first one warms up
        return fastest(lambda: adapter.encode_images([read_image(path) for path in paths])) / len(paths)


def _searched(adapter: Adapter, questions: Sequence[Question], per_image: int) -> float:
    """Seconds of a question of a minibatch, packed as a search packs it."""
    chosen = draw_minibatch(questions, _MINIBATCH, np.random.default_rng(0), per_image=per_image)
    evaluator = Evaluator(adapter, [questions[index] for index in chosen])
    prepared = evaluator.prepare()
    return fastest(lambda: evaluator.scores(prepared)) / len(chosen)


def _timed(adapter: Adapter, questions: Sequence[Question]) -> float:
    """Seconds of a question where two models are timed: none shares its pictures' tokens with another."""
    chosen = questions[:: max(1, len(questions) // _BATCH)][:_BATCH]
    evaluator = Evaluator(adapter, chosen, packed=False)
    prepared = evaluator.prepare()
    return fastest(lambda: evaluator.scores(prepared)) / len(chosen)


def _evaluated(adapter: Adapter, questions: Sequence[Question]) -> float:
    """Seconds of a question of ``evaluate``: some pictures, spread over all, with every question about them."""
    small = adapter.shape.language_parameters <= 10**8
    by_picture: dict[tuple[Path, ...] | str, list[Question]] = {}
    for question in questions:
        by_picture.setdefault(question.images or question.id, []).append(question)
    step = max(1, round(len(questions) / (_EVALUATED if small else _MINIBATCH)))
    chosen = [question for about in list(by_picture.values())[::step] for question in about]

    def ask() -> object:
        return evaluate_model(adapter, chosen, label="", model="", specs=(), split="test")

    return (fastest if small else clocked)(ask) / len(chosen)


def _recovered(
    adapter: Adapter, questions: Sequence[Question], settings: RecoverySettings
) -> tuple[float, float]:
    """Seconds of a step of recovery and of a picture before it, found by a few of both, on copies in float32.

    Args:
        adapter: the dense model, which stays as it is.
        questions: the recovery split.
        settings: of the recovery.
    """
    few = first_batches(questions, settings)
    shown = {question.images for question in few}
    copies = [type(adapter)(deepcopy(adapter.model).float(), adapter.processor) for _ in range(2)]
    parts = unfreeze(copies[0], settings)
    shows = list[Show]()

    def show() -> None:
        shows.append(shown_pictures(copies[0], parts, few))
        shows.append(frozen_pictures(copies[1], few))

    showing, ends = clocked(show), list[float]()
    student, teacher = (Student(adapter=copy, show=show) for copy, show in zip(copies, shows, strict=True))
    with cache_folder(None) as place:
        train(
            student,
            parts,
            few,
            replace(settings, steps=_STEPS),
            robust_share=settings.robust_share(None),
            state=StateFile(place / "state.safetensors", {}),
            teacher=teacher,
            progress=lambda *_: ends.append(time.perf_counter()),
        )
    drawn, drawn_few = (_draw_seconds(asked, settings) for asked in (questions, few))
    *steps, last = np.diff(ends)
    step = float(np.median(steps))
    saved = max(0.0, last - step) / settings.save_every
    return float(step + saved + drawn - drawn_few), showing / len(shown)


def first_batches(questions: Sequence[Question], settings: RecoverySettings) -> list[Question]:
    """What the first batches of a recovery ask: as many pictures a batch, and of every benchmark its share.

    Args:
        questions: the recovery split.
        settings: of the recovery.
    """
    minibatches, share = Minibatches(questions), settings.robust_share(None)
    drawn = [
        minibatches.draw(
            settings.batch_size, np.random.default_rng([settings.seed, step]), robust_share=share,
            per_image=settings.per_image,
        )
        for step in range(_BATCHES)
    ]  # fmt: skip
    return [questions[index] for index in np.unique(np.concatenate(drawn))]


def _draw_seconds(questions: Sequence[Question], settings: RecoverySettings) -> float:
    """Seconds to draw a batch, which takes longer of more questions."""
    minibatches, share = Minibatches(questions), settings.robust_share(None)

    def draw() -> object:
        return minibatches.draw(
            settings.batch_size, np.random.default_rng(0), robust_share=share, per_image=settings.per_image
        )

    return fastest(draw)


def opening(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of work that is done again and again, and how many more the first time takes; 0 where it is long."""
    first = clocked(work)
    usual = first if first > _LONG else min(first, clocked(work))
    return usual, first - usual


def fastest(work: Callable[[], object]) -> float:
    """Seconds of the faster of two tries; of one, where that takes longer than four seconds."""
    return opening(work)[0]


def clocked(work: Callable[[], object]) -> float:
    """Seconds until work is done, on a GPU too."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
