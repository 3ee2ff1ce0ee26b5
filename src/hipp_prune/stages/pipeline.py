"""The stages on one run directory, each done once: what an earlier start has finished is found, the rest is done."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.checkpoints.ledger import RECOVERY_FILE
from hipp_prune.errors import HippPruneError, IncompleteRunError, RunError
from hipp_prune.evaluation.scorecard import Scorecard, limit_questions
from hipp_prune.evaluation.speed import ROUND_SECONDS
from hipp_prune.files.changes import refuse_changes
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.manifest import remove_file
from hipp_prune.files.progress import Progress
from hipp_prune.files.replacing import finish_replacement
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.watching import Log, watching
from hipp_prune.plans.modes import CompensationChoice
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.reconstruction import PrunedMlp
from hipp_prune.questions.fingerprint import fingerprint_questions
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.recovery.recover import discard_finished
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.record import read_record
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.baseline import baseline
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.evaluate import evaluate, speedups, update_card
from hipp_prune.stages.loading import read_labels
from hipp_prune.stages.prune import checkpoint_plan, fit_together, prune
from hipp_prune.stages.recover import recover
from hipp_prune.stages.search import read_search, search
from hipp_prune.stages.settings import (
    FULL_PRECISION,
    AskSettings,
    CalibrateSettings,
    EvaluateSettings,
    LoadSettings,
)

SPEED_QUESTIONS = 256
"""Test questions, at most, by which models are timed against each other; fewer of slow ones."""

State = Literal["finished", "begun", "grows", "anew"]
"""Whether a stage is done, is to be gone on with, perhaps to more than it was begun for, or is to be started over."""

Anew = Literal["never", "changed", "always"]
"""What is done again though it is there: nothing, what was begun with other settings, or everything."""


class Headlines(Protocol):
    """Draws a bar for each part of a stage while the context lasts."""

    def __call__(self, *descriptions: str) -> AbstractContextManager[Sequence[Progress | None]]:
        """A callback (done, total) for each description."""


@contextmanager
def silent(*descriptions: str) -> Iterator[Sequence[Progress | None]]:
    """No bar at all."""
    yield [None] * len(descriptions)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One model and its questions on the way through the stages."""

    run: RunDirectory
    model: str
    questions: tuple[str, ...]
    seed: int = 0
    """Of the splits, the calibration sample and the draw of test questions."""
    batch_size: int | None = None
    """Questions a forward pass; what is usual for each stage by default."""
    loading: LoadSettings = LoadSettings()
    anew: Anew = "never"
    otherwise: str = "choose another run directory, or add --force to start over"
    """What else than repeating its settings helps where a stage was begun with others."""
    bars: Headlines = silent
    log: Log = "auto"
    """How the numbers of search and recovery are kept."""
    skip_bad: bool = False
    """Whether broken questions and pictures are left out."""
    round_seconds: float = ROUND_SECONDS
    """That a round of timing all models takes at most, about."""
    may_grow: bool = False
    """Whether more evaluations make a search grow, instead of being other settings."""

    def calibrate(self) -> None:
        """Measures the dense model, unless that has been done with the same settings.

        Raises:
            RunError: if it was done with others.
        """
        state = self._state(self.is_calibrated)
        if state == "finished":
            return
        sample = CalibrateSettings(seed=self.seed)
        with self.bars("dense model's answers", "dense model's objects", "calibrate") as bars:
            answering, looking, progress = bars
            calibrate(
                self.model,
                self.questions,
                self.run.root,
                replace(sample, batch_size=self.batch_size or sample.batch_size),
                loading=self.loading,
                force=state == "anew",
                skip_bad=self._skipping,
                labelling=(answering, looking),
                progress=progress,
            )

    @property
    def _skipping(self) -> SkipBad | None:
        """What takes in broken questions; each stage meets the same ones again."""
        return SkipBad() if self.skip_bad else None

    def is_calibrated(self) -> bool:
        """Whether an earlier start of the same settings has finished the calibration.

        Raises:
            RunError: if it had other settings.
        """
        if not (self.run.manifest.is_file() and self.run.calibration.is_file()):
            return False
        begun = self.run.provenance()
        before = {"model": begun.model, "questions": begun.questions, "seed": begun.seed}
        now = {"model": self.model, "questions": self.questions, "seed": self.seed}
        refuse_changes(self.run.root, before, now, remedy=self.otherwise)
        return True

    def check_search(self, settings: SearchSettings) -> State:
        """Whether the search is done, is to be gone on with or to grow, or is to be started over.

        Raises:
            RunError: if it was begun with other settings, but for fewer evaluations where it may grow.
        """
        state = self._state(
            lambda: (
                read_search(self.run.search, settings, remedy=self.otherwise, may_grow=self.may_grow)
                is not None
            )
        )
        return "grows" if self.may_grow and state != "anew" and self._is_smaller(settings) else state

    def _is_smaller(self, settings: SearchSettings) -> bool:
        """Whether there is a search that was begun for fewer evaluations."""
        try:
            begun = read_record(self.run.search.record).settings
        except IncompleteRunError:
            return False
        return begun.most_evaluations < settings.most_evaluations

    def search(self, settings: SearchSettings) -> None:
        """Trains the policy, unless that has been done with the same settings, and as many evaluations.

        Raises:
            RunError: if it was begun with others.
        """
        state = self.check_search(settings)
        if state == "finished":
            return
        asking = AskSettings()
        with (
            watching(self.run.events / "search", self.log, anew=state == "anew"),
            self.bars("encode pictures", "search") as (encoding, progress),
        ):
            search(
                self.run.root,
                settings,
                asking=replace(asking, batch_size=self.batch_size or asking.batch_size),
                loading=self.loading,
                force=state == "anew",
                skip_bad=self._skipping,
                encoding=encoding,
                progress=progress,
            )

    def prune(
        self,
        plan: Plan,
        out: Path,
        *,
        name: str,
        compensation: CompensationChoice = "auto",
        fitted: Sequence[PrunedMlp] | None = None,
    ) -> None:
        """Writes the checkpoint of a plan, unless that is there.

        Args:
            plan: what stays.
            out: checkpoint folder.
            name: of its results in the run, which a new checkpoint makes void.
            compensation: as for ``stages.prune``.
            fitted: as there.
        """
        if self._is_pruned(plan, out, compensation):
            return
        remove_file(self.results(name))
        with self.bars("prune") as (progress,):
            prune(
                self.model,
                plan,
                out,
                run=self.run.root,
                compensation=compensation,
                fitted=fitted,
                loading=self.loading,
                force=self.anew != "never",
                progress=progress,
            )

    def prune_together(self, plans: Mapping[str, Plan], place: Callable[[str], Path]) -> None:
        """Writes the checkpoints of plans that are compensated block after block, unless they are there.

        Args:
            plans: what stays, by the names of their results.
            place: gives the checkpoint folder of a name.
        """
        new = {
            name: plan for name, plan in plans.items() if not self._is_pruned(plan, place(name), "sequential")
        }
        if not new:
            return
        with self.bars("fit pruned blocks") as (progress,):
            fits = fit_together(
                self.model, list(new.values()), self.run.root, loading=self.loading, progress=progress
            )
        for (name, plan), fitted in zip(new.items(), fits, strict=True):
            self.prune(plan, place(name), name=name, compensation="sequential", fitted=fitted)

    def _is_pruned(self, plan: Plan, out: Path, compensation: CompensationChoice) -> bool:
        """Whether the checkpoint of a plan is there and is not to be made again."""
        mode = plan.compensation if compensation == "auto" else compensation
        wanted = plan.with_compensation(mode, plan.image_weight)
        finish_replacement(out)
        written = checkpoint_plan(str(out)) if out.is_dir() else None
        same = written is not None and written.to_json() == wanted.to_json()
        return self.anew != "always" and same and not (out / RECOVERY_FILE).is_file()

    def prune_uniformly(self, sparsity: float, out: Path, *, name: str) -> None:
        """Writes the checkpoint that loses the same share of every block, uncompensated, unless that is there.

        Args:
            sparsity: fraction of the MLP parameters to remove.
            out: checkpoint folder.
            name: of its results in the run.
        """
        finish_replacement(out)
        if self.anew != "always" and out.is_dir():
            return
        remove_file(self.results(name))
        with self.bars("prune uniformly") as (progress,):
            baseline(
                "uniform",
                sparsity,
                out,
                BaselineSettings(compensation="none"),
                run=self.run.root,
                loading=self.loading,
                force=self.anew != "never",
                progress=progress,
            )

    def recover(self, checkpoint: Path, out: Path, settings: RecoverySettings, *, name: str) -> None:
        """Fine-tunes a pruned checkpoint, unless the recovered one is there.

        Args:
            checkpoint: as ``prune`` left it.
            out: checkpoint folder.
            settings: of the recovery.
            name: of its results in the run.
        """
        with sole_writer(out):
            discard_finished(out)
        source, found = checkpoint_plan(str(checkpoint)), None
        if (out / RECOVERY_FILE).is_file():
            found = checkpoint_plan(str(out))
        if self.anew != "always" and found is not None and found == source:
            return
        remove_file(self.results(name))
        with (
            watching(self.run.events / "recovery", self.log),
            self.bars("encode pictures", "recover") as (encoding, progress),
        ):
            recover(
                str(checkpoint),
                self.questions,
                out,
                settings,
                teacher=self.model,
                loading=replace(self.loading, dtype=FULL_PRECISION.dtype),
                cache=self.run.cache,
                force=self.anew != "never",
                skip_bad=self._skipping,
                encoding=encoding,
                progress=progress,
            )

    def results(self, name: str) -> Path:
        """Where the evaluation of a name lies in the run."""
        return self.run.results / f"{name}.json"

    def evaluate(self, model: str, *, name: str, label: str, limit: int | None) -> Scorecard:
        """Official scores on the test split, kept in the run; found there if the same was asked of the same model.

        Args:
            model: the dense one, or a checkpoint.
            name: of the results.
            label: the model's, in tables.
            limit: questions a benchmark, at most.
        """
        settings = EvaluateSettings(limit=limit, label=label, seed=self.seed)
        if self.batch_size is not None:
            settings = replace(settings, batch_size=self.batch_size)
        if self.anew != "always" and (found := self._evaluated(model, name, settings)) is not None:
            return found
        with self.bars(f"evaluate {label}") as (progress,):
            scorecard = evaluate(
                model,
                self.questions,
                settings,
                run=self.run.root,
                loading=self.loading,
                skip_bad=self._skipping,
                progress=progress,
            )
        scorecard.save(self.results(name))
        return scorecard

    def _evaluated(self, model: str, name: str, settings: EvaluateSettings) -> Scorecard | None:
        """What an earlier start has found out; None where that is not the same, or is damaged."""
        if not self.results(name).is_file():
            return None
        try:
            found = Scorecard.load(self.results(name))
        except HippPruneError:
            return None
        asked = load_questions(
            self.questions, settings.split, cache=self.run.cache, seed=self.seed, skip_bad=self._skipping
        )
        if any(question.is_unlabelled for question in asked):
            asked = read_labels(self.run).complete(asked)
        asked = limit_questions(asked, settings.limit, seed=self.seed)
        same = (found.model, found.label, found.split) == (model, settings.label, settings.split)
        known = found.origin is not None and found.origin.questions == fingerprint_questions(asked)
        return found if same and known else None

    def with_speedups(self, scorecards: Sequence[Scorecard], names: Sequence[str]) -> list[Scorecard]:
        """Times each checkpoint against the dense model, the first, and keeps that in the run and in model cards.

        Args:
            scorecards: of the dense model and of the others.
            names: of their results.
        """
        dense, *pruned = scorecards
        if self.anew == "always" or any(card.speedup is None for card in pruned):
            with self.bars("measure speed") as (progress,):
                ratios = speedups(
                    self.model,
                    [card.model for card in pruned],
                    self.questions,
                    limit=SPEED_QUESTIONS,
                    run=self.run.root,
                    loading=self.loading,
                    cache=self.run.cache,
                    skip_bad=self._skipping,
                    round_seconds=self.round_seconds,
                    progress=progress,
                )
            pruned = [replace(card, speedup=ratio) for card, ratio in zip(pruned, ratios, strict=True)]
        for card, name in zip((dense, *pruned), names, strict=True):
            card.save(self.results(name))
        for card in pruned:
            update_card(card)
        return [dense, *pruned]

    def _state(self, finished: Callable[[], bool]) -> State:
        """Whether a stage is done, is to be gone on with, or is to be started over.

        Raises:
            RunError: if it was begun with other settings, and what has changed is not done anew.
        """
        if self.anew == "always":
            return "anew"
        try:
            return "finished" if finished() else "begun"
        except RunError:
            if self.anew == "never":
                raise
            return "anew"
