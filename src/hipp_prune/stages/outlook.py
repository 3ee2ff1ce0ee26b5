"""Before hours of work: how long each stage takes here, in how much memory, on what, and what would be refused."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hipp_prune.files.machine import free_disk, free_memory, unwritable_place
from hipp_prune.files.sizes import format_bytes
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.described import ModelSizes, describe_sizes
from hipp_prune.models.devices import SPLIT, describe_device, parse_device, slow_precision
from hipp_prune.models.loading import has_weights, is_hub_name, parse_dtype, read_config
from hipp_prune.questions.survey import survey
from hipp_prune.stages.loading import cache_folder, check_model, load, set_threads
from hipp_prune.stages.prices import Memory, Price
from hipp_prune.stages.probing import (
    PROBED,
    clocked,
    labelling_probe,
    machine_speeds,
    measured_rates,
    opening,
)
from hipp_prune.stages.rates import Lengths, Machine, Rates, computed_rates, question_flops
from hipp_prune.stages.recover import refuse_open
from hipp_prune.stages.settings import LoadSettings
from hipp_prune.stages.split_questions import SplitQuestions, tried
from hipp_prune.stages.trial import try_model
from hipp_prune.stages.work import Work

MEASURED, COMPUTED = "measured on a few questions", "computed from the configuration"
"""How an outlook is found."""
_CHEAP = 60.0
"""Seconds that measuring may take, as computed beforehand."""
_BUSY = 0.8
"""Share of its processors' time below which a machine is called busy."""
_PROBED = 120
"""Questions' worth of passes that measuring takes, trying the model included."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is to be expected of a model and its questions on this machine."""

    model: str
    device: str
    how: str
    """``MEASURED`` or ``COMPUTED``."""
    prices: tuple[Price, ...]
    """A row a stage; none where the model is refused."""
    refused: tuple[str, ...]
    """What would stop the work, a sentence each."""
    remarks: tuple[str, ...]
    """What is slow or was assumed."""
    warnings: tuple[str, ...]
    """What the questions cannot tell."""

    @property
    def seconds(self) -> float:
        """Of all stages, one after the other."""
        return sum(price.seconds for price in self.prices)

    @property
    def cpu_bytes(self) -> int:
        """Memory of the process at the peak of all stages."""
        return max((price.cpu_bytes for price in self.prices), default=0)

    @property
    def gpu_bytes(self) -> int:
        """Memory of the GPU at the peak of all stages; 0 without one."""
        return max((price.gpu_bytes for price in self.prices), default=0)

    @property
    def disk_bytes(self) -> int:
        """What all stages leave on the disk."""
        return sum(price.disk_bytes for price in self.prices)

    @property
    def heading(self) -> str:
        """Of which model, where, and how it was found."""
        return f"{self.model} on {self.device}, {self.how}"

    def refusing(self, sentences: Sequence[str]) -> "Outlook":
        """The same, with what else would be refused; none is said twice."""
        return replace(self, refused=tuple(dict.fromkeys((*sentences, *self.refused))))

    @property
    def summary(self) -> str:
        """Time, memory and questions of all stages, in two lines, and what is slow or was assumed."""
        memory = f"{format_bytes(self.cpu_bytes)} of memory"
        if self.gpu_bytes:
            memory += f", {format_bytes(self.gpu_bytes)} of GPU memory"
        asked = {each.stage: each.questions for each in self.prices if each.questions}
        counts = ", ".join(f"{stage} {questions:,}" for stage, questions in asked.items())
        lines = [f"ahead: about {duration(self.seconds)}, {memory}; {self.how}", f"questions: {counts}"]
        return "\n".join((*lines, *self.remarks))

    def to_json(self) -> dict[str, Any]:
        """Prices, refusals and remarks by the names of these fields, for ``json.dump``."""
        return asdict(self)

    def table(self) -> list[tuple[str, ...]]:
        """Header and a row a stage, to print; a GPU's memory only where there is one."""
        gpu = ("GPU",) if self.gpu_bytes else ()
        rows: list[tuple[str, ...]] = [("stage", "time", "memory", *gpu, "disk", "questions", "pictures")]
        for each in self.prices:
            counts = [str(count) if count else "–" for count in (each.questions, each.pictures)]
            rows.append((each.stage, duration(each.seconds), *_sizes(each, gpu=bool(gpu)), *counts))
        return [*rows, ("together", duration(self.seconds), *_sizes(self, gpu=bool(gpu)), "", "")]


def _sizes(of: "Price | Outlook", *, gpu: bool) -> tuple[str, ...]:
    numbers = (of.cpu_bytes, of.gpu_bytes, of.disk_bytes) if gpu else (of.cpu_bytes, of.disk_bytes)
    return tuple(format_bytes(number) if number else "–" for number in numbers)


def outlook(
    model: str,
    questions: Sequence[str] = (),
    work: Work = Work(),
    *,
    loading: LoadSettings = LoadSettings(),
    out: Path = Path(),
    cache: Path | None = None,
    measure: bool = True,
) -> Outlook:
    """What calibrating, searching, pruning, recovering and evaluating would take; nothing is left behind.

    Args:
        model: as for ``calibrate``; its weights need not be there.
        questions: specifications; without any, typical numbers are assumed.
        work: the stages.
        loading: how the model is loaded.
        out: where things will be written, for the room on that disk.
        cache: where the embedded world is drawn; a temporary folder by default.
        measure: whether the model is asked a few questions, where its weights are there and that is cheap.

    Returns:
        Prices, and in ``refused`` whatever would be refused: nothing raises but what nobody foresaw.
    """
    refused: list[str] = []
    with cache_folder(cache) as folder:
        splits = SplitQuestions(
            questions, folder, work.calibrate, work.evaluate, refused,
            recovers=work.recover is not None, skip_bad=work.skip_bad, timed=work.timed,
        )  # fmt: skip
        warnings = survey(splits.drawn).warnings
        opened = tried(refused, lambda: _Opened.of(model, loading))
        if opened is None:
            return Outlook(
                model=model,
                device=loading.device,
                how=COMPUTED,
                prices=(),
                refused=tuple(dict.fromkeys(refused)),
                remarks=(),
                warnings=warnings,
            )
        set_threads(opened.sizes.language_parameters)
        tried(refused, lambda: refuse_open(splits.questions.get("recovery", [])))
        lengths = splits.lengths(opened.folder)
        machine = machine_speeds(opened.device, opened.dtype, opened.sizes.bytes)
        rates, how = _rates(model, opened, splits, lengths, work, machine, loading, refused, measure=measure)
    memory = Memory(sizes=opened.sizes, lengths=lengths, on_gpu=opened.device.type != "cpu")
    prices = work.prices(rates, memory, splits)
    refused += _room(prices, opened, out)
    return Outlook(
        model=model,
        device=describe_device(opened.device),
        how=how,
        prices=tuple(prices),
        refused=tuple(dict.fromkeys(refused)),
        remarks=tuple(_remarks(opened, splits, machine, named=bool(questions))),
        warnings=warnings,
    )


def _remarks(opened: "_Opened", splits: SplitQuestions, machine: Machine, *, named: bool) -> Iterator[str]:
    """What was assumed, and what is slow."""
    if splits.is_guessed:
        why = "not all questions can be read" if named else "no questions are named"
        yield f"{why}, so numbers of questions are typical ones"
    if splits.unlabelled.questions:
        yield (
            f"the dense model answers {splits.unlabelled.questions} questions without an answer itself, and is asked "
            f"about objects in {splits.unlabelled.pictures} pictures, which calibrate's row counts"
        )
    if opened.fetched:
        yield (
            f"the weights, {format_bytes(opened.fetched)}, are not here yet: the hub sends them before the first "
            "stage, which is not counted, and what needs them is refused only then"
        )
    if machine.share < _BUSY:
        yield (
            f"this machine is busy: beside other programs this one got {machine.share:.0%} of the processor time it "
            "asked for; all of it takes as long as that lasts, and less on a quiet machine"
        )
    if (slow := slow_precision(opened.device, opened.dtype)) is not None:
        yield slow


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A model's folder and sizes, and where it will be."""

    folder: Path
    sizes: ModelSizes
    device: torch.device
    dtype: torch.dtype
    has_weights: bool
    """Whether there is more than a configuration."""
    fetched: int
    """Bytes of weights that the hub has yet to send."""

    @classmethod
    def of(cls, model: str, loading: LoadSettings) -> "_Opened":
        folder = check_model(model, loading, weights=False)
        sizes = describe_sizes(folder, dtype=loading.dtype, trust_remote_code=loading.trust_remote_code)
        told = read_config(folder, trust_remote_code=loading.trust_remote_code).dtype
        stored = told if isinstance(told, torch.dtype) else torch.float32
        wanted = parse_dtype(loading.dtype)
        there = has_weights(folder)
        return cls(
            folder=folder,
            sizes=sizes,
            device=parse_device("cuda" if loading.device == SPLIT else loading.device),
            dtype=wanted if isinstance(wanted, torch.dtype) else stored,
            has_weights=there,
            fetched=0 if there or not is_hub_name(model) else sizes.parameters * stored.itemsize,
        )


def _rates(
    model: str,
    opened: _Opened,
    splits: SplitQuestions,
    lengths: Lengths,
    work: Work,
    machine: Machine,
    loading: LoadSettings,
    refused: list[str],
    *,
    measure: bool,
) -> tuple[Rates, str]:
    """Rates, and how they were found.

    Args:
        model: its name.
        opened: what its configuration says.
        splits: the questions.
        lengths: tokens of one.
        work: how many are asked about one picture, and whether there is a recovery.
        machine: its speeds.
        loading: how the model is loaded.
        refused: gets a sentence where the model cannot be tried.
        measure: whether it may be asked.
    """
    computed = computed_rates(
        opened.sizes,
        lengths,
        machine,
        per_image=work.search.per_image,
        per_picture=splits.asked("test").per_picture,
    )
    trying = _PROBED * question_flops(opened.sizes, lengths.shown + lengths.text) / machine.speed
    trying += labelling_probe(computed) * (splits.unlabelled.questions > 0)
    few = all(splits.questions.get(name) for name in PROBED)
    fits = opened.sizes.bytes < free_memory() or opened.device.type != "cpu"
    if not (measure and few and fits and opened.has_weights and trying < _CHEAP):
        return computed, COMPUTED

    def ask() -> Rates | None:
        found = list[Adapter]()

        def reopen() -> None:
            found.clear()  # never two at once
            found.append(load(model, loading))

        usual, first = opening(reopen)
        (adapter,) = found
        trial = clocked(lambda: try_model(adapter, model))
        return measured_rates(
            adapter,
            splits.questions,
            per_image=work.search.per_image,
            recovery=work.recover if _can_recover(opened, splits) else None,
            load=usual,
            first=first,
            trial=trial,
            machine=machine,
            pass_seconds=machine.pass_seconds(
                opened.sizes, lengths.shown / work.search.per_image + lengths.text
            ),
        )

    measured = tried(refused, ask)
    return (computed, COMPUTED) if measured is None else (measured, MEASURED)


def _can_recover(opened: _Opened, splits: SplitQuestions) -> bool:
    """Whether a recovery may be tried: on questions it can learn from, with room for two copies and what one keeps."""
    asked = splits.questions.get("recovery", [])
    closed = all(len(question.answers) > 1 for question in asked)
    return bool(asked) and closed and 5 * 4 * opened.sizes.parameters < free_memory()


def _room(prices: Sequence[Price], opened: _Opened, out: Path) -> list[str]:
    """What has no room, a sentence each."""
    found, device = [], opened.device
    places = [("memory", "cpu_bytes", free_memory())]
    if device.type == "cuda":
        places.append(("GPU memory", "gpu_bytes", torch.cuda.mem_get_info(device)[0]))
    for what, name, free in places:
        worst = max(prices, key=lambda price: int(getattr(price, name)))
        if getattr(worst, name) > free:
            found.append(
                f"{worst.stage} needs about {format_bytes(getattr(worst, name))} of {what}, {format_bytes(free)} "
                "are free; use smaller batches, --dtype bfloat16, or a machine that has more"
            )
    if opened.fetched > free_disk(opened.folder):
        found.append(
            f"the weights are {format_bytes(opened.fetched)}, {format_bytes(free_disk(opened.folder))} are free at "
            f"{opened.folder}, where the hub's models lie; free space, or set HF_HOME to another place"
        )
    if (blocking := unwritable_place(out)) is not None:
        found.append(f"nothing can be written at {blocking}; change its permissions or choose another place")
    disk = sum(price.disk_bytes for price in prices)
    if disk > free_disk(out):
        found.append(
            f"about {format_bytes(disk)} will be written, {format_bytes(free_disk(out))} are free at "
            f"{out.absolute()}; free space or choose another place"
        )
    return found


def duration(seconds: float) -> str:
    """A time as people say it: ``0.8 s``, ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
