"""Measures every cell that has no result yet; killed and started again, it goes on cell by cell."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hipp_prune.baselines.methods import BASELINES, load_baseline
from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration.general_text import GeneralText
from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.held_out import held_out_groups, one_in_eight
from hipp_prune.calibration.measurement import Calibration, batches
from hipp_prune.errors import IncompleteRunError, InputError, OutputExistsError
from hipp_prune.experiments.compare.cells import DENSE, SEARCHES
from hipp_prune.experiments.damage.cells import DamageCell, Result
from hipp_prune.experiments.damage.compensating import CalibratedModel, FitBatches, pruned
from hipp_prune.experiments.damage.searching import searched_masks
from hipp_prune.experiments.damage.settings import DamageSettings
from hipp_prune.experiments.damage.yardstick import Measured, Yardstick, at_most_a_file
from hipp_prune.files.changes import refuse_changes
from hipp_prune.files.manifest import start_list
from hipp_prune.files.progress import Say
from hipp_prune.files.reading import read_document
from hipp_prune.files.replacing import clean, is_fresh
from hipp_prune.files.writing import write_json
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.arrays import Bools
from hipp_prune.plans.plan import Plan
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.splits import Split
from hipp_prune.questions.texts import draw_windows, read_general_text
from hipp_prune.stages.calibrate import calibrate_model, gram_layout
from hipp_prune.stages.labelling import labelled
from hipp_prune.stages.loading import load
from hipp_prune.stages.settings import CalibrateSettings, LoadSettings

_OTHERWISE = "choose another --out, or delete what was made with them"
_TEXT_TOKENS = 128
_MINIBATCHES = 4
"""Questions of a file that a search may draw from, as a multiple of what it asks a plan."""


@dataclass
class DamageRun:
    """Keeps the dense model, what judges it, and a seed's statistics, from one cell to the next."""

    root: Path
    model: str
    settings: DamageSettings
    loading: LoadSettings = LoadSettings()
    budgets: tuple[float, ...] = ()
    """All that searches are asked for."""
    _calibrated: tuple[int, CalibratedModel] | None = None
    _searched: dict[tuple[str, str, int], Mapping[float, list[Bools]]] = field(default_factory=dict)

    @cached_property
    def adapter(self) -> Adapter:
        """The dense model."""
        return load(self.model, self.loading)

    @cached_property
    def yardstick(self) -> Yardstick:
        """What judges; made while the model is the dense one."""
        judging = at_most_a_file(
            self.questions(self.settings.split), self.settings.limit, seed=self.settings.split_seed
        )
        texts = self.settings.texts
        windows = draw_windows(read_general_text(texts), self.settings.windows, seed=0) if texts else ()
        return Yardstick(self.adapter, labelled(self.adapter, judging), windows)

    def questions(self, split: Split) -> list[Question]:
        """Those of a split."""
        return load_questions(self.settings.questions, split, cache=self.root / "cache")

    def general(self, seed: int) -> tuple[str, ...]:
        """Windows of general text: of a seed, as many as questions are calibrated on, and then those of a search."""
        if not self.settings.general_text:
            return ()
        number = self.settings.calibration + self.settings.search_windows
        return draw_windows(read_general_text(self.settings.general_text), number, seed=seed)

    def calibrated(self, seed: int) -> CalibratedModel:
        """The dense model and what is measured of it at a seed; the last seed's are kept."""
        if self._calibrated is None or self._calibrated[0] != seed:
            self._calibrated = None
            self._calibrated = seed, self._examine(seed)
        return self._calibrated[1]

    def _examine(self, seed: int) -> CalibratedModel:
        drawn = calibration_sample(self.questions("calibration"), self.settings.calibration, seed=seed)
        sample, windows = labelled(self.adapter, drawn), self._calibrated_on(seed)
        path = self.root / "calibrations" / f"{seed}.safetensors"
        gram_path = path.with_suffix(".grams.safetensors")
        if not (path.exists() and gram_path.exists()):
            calibrate_model(
                self.adapter,
                sample,
                path,
                batch_size=self.settings.batch_size,
                grams=(gram_path, gram_layout(self.adapter, sample, CalibrateSettings())),
                general=GeneralText(windows=windows, share=self.settings.general_share) if windows else None,
            )
        return CalibratedModel(
            adapter=self.adapter,
            calibration=Calibration.load(path),
            grams=Grams.load(gram_path),
            sample=sample,
            batches=lambda: self._batches(sample, windows),
        )

    def _calibrated_on(self, seed: int) -> tuple[str, ...]:
        """General text without every so-manieth window, which is a search's."""
        asked = set(self._searched_on(seed))
        return tuple(window for window in self.general(seed) if window not in asked)

    def _searched_on(self, seed: int) -> tuple[str, ...]:
        windows, number = self.general(seed), self.settings.search_windows
        if not (windows and number):
            return ()
        places = np.linspace(0, len(windows) - 1, number).round().astype(int)
        return tuple(windows[place] for place in dict.fromkeys(places.tolist()))

    def _batches(self, sample: Sequence[Question], windows: Sequence[str]) -> FitBatches:
        """The calibration questions and windows, an eighth of each held out."""
        size, groups, held_windows = self.settings.batch_size, held_out_groups(sample), one_in_eight(windows)
        made: FitBatches = []
        for held in (False, True):
            asked = [question for question in sample if (question.group in groups) is held]
            made += [(batch, images, held) for batch, images in batches(self.adapter, asked, size)]
            texts = [window for window in windows if (window in held_windows) is held]
            parts = [texts[start : start + size] for start in range(0, len(texts), size)]
            made += [(self.adapter.encode_texts(part, most=_TEXT_TOKENS), [], held) for part in parts]
        return made

    def __call__(self, cell: DamageCell) -> Result:
        """Prunes, compensates and measures."""
        yardstick, widths = self.yardstick, self.adapter.shape.neurons
        start = time.perf_counter()
        if cell.method == DENSE:
            return _result(cell, widths, widths, yardstick.measure(), {})
        masks = self.masks(cell)
        planned = time.perf_counter()
        weight = BaselineSettings().image_weight
        mlps = self.calibrated(cell.seed).fit(masks, cell.compensation, weight)
        fitted = time.perf_counter()
        with pruned(self.adapter, masks, mlps):
            measured = yardstick.measure()
        seconds = {
            "plan": planned - start,
            "fit": fitted - planned,
            "measure": time.perf_counter() - fitted,
        }
        return _result(cell, widths, [int(mask.sum()) for mask in masks], measured, seconds)

    def masks(self, cell: DamageCell) -> list[Bools]:
        """True where a neuron of a block stays."""
        if cell.method in SEARCHES:
            return self._search(cell)[cell.budget]
        told = BaselineSettings(
            seed=cell.seed,
            r_max=self.settings.r_max,
            compensation="none",
            batch_size=self.settings.batch_size,
        )
        calibrated = self.calibrated(cell.seed)
        planned = load_baseline(cell.method).plan(
            Setting(
                adapter=self.adapter,
                calibration=calibrated.calibration,
                questions=calibrated.sample,
                sparsity=cell.budget,
                settings=told,
            )
        )
        assert isinstance(planned, Plan), "check_methods lets no other method in"
        return planned.keep_masks()

    def _search_questions(self) -> list[Question]:
        """Of every file as many as fill some minibatches: those without an answer cost the dense model one each."""
        most = _MINIBATCHES * self.settings.search_questions
        return at_most_a_file(self.questions("search"), most, seed=self.settings.split_seed)

    def _search(self, cell: DamageCell) -> Mapping[float, list[Bools]]:
        searched_with = "none" if cell.compensation == "none" else "ridge"
        key = cell.method, searched_with, cell.seed
        if key not in self._searched:
            self._searched[key] = searched_masks(
                self.calibrated(cell.seed),
                labelled(self.adapter, self._search_questions()),
                self._searched_on(cell.seed),
                self.settings,
                method=SEARCHES[cell.method],
                compensation=cell.compensation,
                seed=cell.seed,
                budgets=self.budgets,
                archive=self.root / "searches" / f"{'-'.join(map(str, key))}.jsonl",
            )
        return self._searched[key]


def _result(
    cell: DamageCell,
    widths: Sequence[int],
    kept: Sequence[int],
    measured: Measured,
    seconds: Mapping[str, float],
) -> Result:
    return Result(
        cell=cell,
        saved=1 - sum(kept) / sum(widths),
        kept=tuple(kept),
        right=measured.right,
        kl={name: [max(0.0, value) for value in values] for name, values in measured.kl.items()},
        seconds={name: round(value, 2) for name, value in seconds.items()},
    )


def check_methods(methods: Sequence[str]) -> None:
    """Refuses who does not remove whole neurons: others cannot be compensated, or measured beside them.

    Raises:
        InputError: naming the first.
    """
    for method in methods:
        if method == DENSE or method in SEARCHES:
            continue
        if method not in BASELINES:
            names = ", ".join((DENSE, *BASELINES, *SEARCHES))
            raise InputError(f"there is no method {method!r}; choose among {names}")
        heuristic, settings = load_baseline(method), BaselineSettings()
        if not (heuristic.only_neurons(settings) and heuristic.whole_neurons(settings)):
            raise InputError(
                f"{method} removes more than whole neurons, or none whole, so what damage measures does not apply; "
                "use hipp-prune compare for it"
            )


def measure_cells(run: DamageRun, cells: Sequence[DamageCell], *, minutes: float | None, say: Say) -> None:
    """Does every cell that has no result yet, in this order.

    Args:
        run: model and settings.
        cells: what to do.
        minutes: after which no further cell is begun; None for all.
        say: told a line a cell.

    Raises:
        RunError: if the folder holds results of other settings.
    """
    claim(run)
    start = time.perf_counter()
    waiting = [cell for cell in cells if not cell.path(run.root).exists()]
    if waiting and not (run.root / "items.json").exists():
        write_json(run.root / "items.json", run.yardstick.items)
    for number, cell in enumerate(waiting, start=1):
        if minutes is not None and time.perf_counter() - start > 60 * minutes:
            say(f"stopped after {minutes:g} minutes, {len(waiting) - number + 1} cells to go")
            return
        begun = time.perf_counter()
        result = run(cell)
        result.save(run.root)
        say(f"{number}/{len(waiting)}  {cell}: {time.perf_counter() - begun:.0f} s, {summary(result)}")


def summary(result: Result) -> str:
    """Accuracies and KL in a line."""
    shares = [f"{name} {100 * sum(right) / len(right):.1f}%" for name, right in sorted(result.right.items())]
    return ", ".join(
        [*shares, *(f"KL {name} {sum(kl) / len(kl):.3f}" for name, kl in sorted(result.kl.items()))]
    )


def claim(run: DamageRun) -> None:
    """Makes a folder, or goes on in one of the same settings.

    Raises:
        OutputExistsError: if the folder is something else.
        RunError: if it holds results of other settings.
    """
    path, now = run.root / "damage.json", _told(run)
    if path.exists():
        before = read_document(path, dict[str, Any], remedy=_OTHERWISE, error=IncompleteRunError)
        refuse_changes(path, before, now, remedy=_OTHERWISE)
        clean(run.root)
        return
    if run.root.exists() and (not run.root.is_dir() or not is_fresh(run.root)):
        raise OutputExistsError(
            f"{run.root} is there but has no damage.json, so it is none of ours and is left alone; choose another"
        )
    start_list(run.root)
    clean(run.root)
    write_json(path, now)


def _told(run: DamageRun) -> dict[str, Any]:
    said = {"model": run.model, "dtype": run.loading.dtype, **asdict(run.settings)}
    return {
        name: [str(each) for each in value] if isinstance(value, tuple) else value
        for name, value in said.items()
    }
