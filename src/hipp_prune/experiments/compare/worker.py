"""What a worker does: calibrate, search, and carry a cell from its plan to the answers after recovery."""

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from hipp_prune.baselines.planning import write_baseline
from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.checkpoints.ledger import checkpoint_ledger
from hipp_prune.errors import IncompleteRunError, QuestionError, RunError
from hipp_prune.evaluation.scorecard import answer_questions, limit_questions
from hipp_prune.experiments.compare.cell_results import AnswerColumns, CellResult
from hipp_prune.experiments.compare.cells import DENSE, CalibrationJob, Cell, Contender, Job, SearchJob
from hipp_prune.experiments.compare.settings import CompareSettings
from hipp_prune.files.manifest import remove_own
from hipp_prune.files.reading import read_document
from hipp_prune.files.replacing import CACHE
from hipp_prune.files.run_directory import Provenance, SearchFolder
from hipp_prune.files.writing import write_json
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import Ledger
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.splits import Split
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.record import Spent
from hipp_prune.stages.baseline import prune_by
from hipp_prune.stages.calibrate import calibrate_model, gram_layout
from hipp_prune.stages.loading import load
from hipp_prune.stages.recover import recover_on
from hipp_prune.stages.search import read_search, search_model
from hipp_prune.stages.settings import CalibrateSettings, LoadSettings

NOTHING = Ledger(mlp=0.0, block=0.0, language=0.0, model=0.0)
"""What the dense model saves."""

OTHERWISE = "choose another --out, or delete what was made with them"
"""What helps where a comparison's folder holds results of other settings."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A job's price, and what came of it in a few words."""

    seconds: float
    words: str


@dataclass
class Worker:
    """Does jobs, and keeps the dense model and the questions from one to the next."""

    root: Path
    """The comparison's folder."""
    settings: CompareSettings
    loading: LoadSettings = LoadSettings()
    """How models are loaded."""
    keep: bool = False
    """Whether checkpoints stay, in ``checkpoints/``."""
    _questions: dict[Split, list[Question]] = field(default_factory=dict)
    _dense: tuple[str, Adapter] | None = None

    def __call__(self, job: Job) -> Done:
        """Calibrates, searches, prunes or asks, as the job says, and says how long it took.

        Raises:
            HippPruneError: if it cannot be done; see ``errors``.
        """
        start = time.perf_counter()
        if isinstance(job, CalibrationJob):
            words = self.calibrate(job)
        elif isinstance(job, SearchJob):
            words = self.search(job)
        else:
            words = self.run(job)
        return Done(seconds=time.perf_counter() - start, words=words)

    def calibrate(self, job: CalibrationJob) -> str:
        """Measures the dense model on the sample of a seed."""
        adapter, sample = self.dense(job.model), self.sample(job.seed)
        grams = None
        if job.grams:
            settings = CalibrateSettings(compensation="ridge", gram_disk=self.settings.gram_disk)
            grams = job.grams_path(self.root), gram_layout(adapter, sample, settings)
        statistics = calibrate_model(adapter, sample, job.path(self.root), grams=grams)
        return f"{statistics.num_questions} questions"

    def search(self, job: SearchJob) -> str:
        """Searches; killed, it goes on from its last evaluation."""
        finished_search(job, self.root, self.settings)
        search_model(
            self.dense(job.model),
            self.statistics(job.model, job.seed),
            self.questions("search"),
            search_folder(job, self.root),
            self.settings.search_settings(job.contender, job.seed),
            features=self.root / CACHE / "features",
            grams=self.grams(job.contender, job.model, job.seed),
            factors=job.folder(self.root) / "factors",
        )
        spent = finished_search(job, self.root, self.settings)
        assert spent is not None, "a search that is over says what it spent"
        return f"{spent.evaluations:.0f} evaluations"

    def run(self, cell: Cell) -> str:
        """Plans, writes, asks, recovers, and asks again."""
        folder = cell.path(self.root / "checkpoints").with_suffix("")
        self.dense(cell.model)
        clock = _Laps()
        checkpoint, plan = self.make_checkpoint(cell, folder / "pruned")
        clock.lap("plan")
        twin = self._twin(cell, checkpoint, plan)
        result = self._judged_before(twin) or self._judge(cell, checkpoint, folder / "recovered", clock)
        replace(
            result,
            cell=cell,
            settings=self.settings.told(cell.contender, cell.seed),
            kept=None if plan is None else plan.kept,
            seconds={name: round(seconds, 3) for name, seconds in (result.seconds | clock.seconds).items()},
            search=self._spent(cell),
        ).save(self.root)
        if not twin.exists():
            write_json(twin, {"cell": str(cell.path(Path()))})
        if not self.keep:
            _remove(folder)
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in clock.seconds.items())

    def _judge(self, cell: Cell, checkpoint: Path, recovered: Path, clock: "_Laps") -> CellResult:
        """Asks, recovers and asks again."""
        before = self.ask(checkpoint)
        clock.lap("evaluate")
        recover_on(
            self.questions("recovery"),
            checkpoint,
            recovered,
            self.settings.recovery_settings(cell.seed),
            provenance=Provenance.now(model=cell.model, questions=self.settings.questions, seed=cell.seed),
            loading=replace(self.loading, dtype="float32"),
            features=self.root / CACHE / "features",
            force=recovered.exists(),
        )
        clock.lap("recover")
        after = self.ask(recovered)
        clock.lap("evaluate")
        return CellResult(
            cell=cell,
            settings={},
            ledger=checkpoint_ledger(checkpoint) or NOTHING,
            recovered=checkpoint_ledger(recovered) or NOTHING,
            kept=None,
            seconds={},
            search=None,
            before=before,
            after=after,
        )

    def _twin(self, cell: Cell, checkpoint: Path, plan: Plan | None) -> Path:
        """Where it is noted which cell judged a checkpoint of these very bytes first, recovered alike.

        Often two preferences, or two methods, have the same plan at a budget.
        """
        share = self.settings.recovery.robust_share(None if plan is None else plan.preference)
        digest = hashlib.sha256(f"{cell.seed} {share}".encode())
        for file in sorted([checkpoint / "config.json", *checkpoint.glob("*.safetensors")]):
            with file.open("rb") as opened:
                while chunk := opened.read(2**20):
                    digest.update(chunk)
        return self.root / "twins" / f"{digest.hexdigest()[:32]}.json"

    def _judged_before(self, twin: Path) -> CellResult | None:
        """The result of the cell noted there, if it is still there and no checkpoints are wanted."""
        if self.keep or not twin.exists():
            return None
        path = self.root / _read_note(twin, _Twin).cell
        return CellResult.load(path) if path.exists() else None

    def make_checkpoint(self, cell: Cell, out: Path) -> tuple[Path, Plan | None]:
        """Writes a cell's checkpoint, and returns where it lies and the plan it follows, if it is one."""
        if cell.contender.method == DENSE:
            return local_folder(cell.model), None
        if cell.search is not None:
            return out, self._query(cell, cell.search, out)
        return out, self._plan(cell, out)

    def _query(self, cell: Cell, search: SearchJob, out: Path) -> Plan:
        """Asks a search that is over, and writes the checkpoint, compensated as it was searched."""
        assert cell.preference is not None, "a search is asked for a preference"
        planner = Planner.load(search_folder(search, self.root).planner)
        shape, budget = planner.space.shape, cell.budget
        sparsity = None if budget is None else self.settings.share(budget, "mlp", shape)
        plan = planner.query(cell.preference, sparsity=sparsity)
        mode = cell.contender.mode
        settings = BaselineSettings(compensation=mode, reconstruct=self.settings.minutes(mode))
        setting = self._setting(cell, plan.ledger.mlp, settings)
        if mode == "sequential":
            plan = plan.with_compensation(
                mode, settings.image_weight, reconstruct_minutes=settings.reconstruct
            )
        write_baseline(setting, plan, local_folder(cell.model), out, force=True)
        return plan

    def _plan(self, cell: Cell, out: Path) -> Plan | None:
        """Has a baseline plan, and writes the checkpoint; None where it is more than a plan of neurons."""
        assert cell.budget is not None, "a baseline has a budget"
        settings = self.settings.baseline_settings(cell.contender, cell.seed)
        sparsity = self.settings.share(cell.budget, settings.match, self.dense(cell.model).shape)
        setting = self._setting(cell, sparsity, settings)
        planned, _ = prune_by(cell.contender.method, setting, local_folder(cell.model), out, force=True)
        return planned if isinstance(planned, Plan) else None

    def _setting(self, cell: Cell, sparsity: float, settings: BaselineSettings) -> Setting:
        """What a cell's checkpoint is made with: every method's is the same at a seed, but for what it is told."""
        return Setting(
            adapter=self.dense(cell.model),
            calibration=self.statistics(cell.model, cell.seed),
            questions=self.sample(cell.seed),
            sparsity=sparsity,
            grams=self.grams(cell.contender, cell.model, cell.seed),
            settings=settings,
        )

    def _spent(self, cell: Cell) -> dict[str, float] | None:
        spent = None if cell.search is None else finished_search(cell.search, self.root, self.settings)
        return None if spent is None else {"seconds": spent.seconds, "evaluations": spent.evaluations}

    def ask(self, checkpoint: Path) -> AnswerColumns:
        """What a checkpoint answers."""
        questions = self.judging
        answers, _ = answer_questions(load(checkpoint, self.loading), questions)
        return AnswerColumns.of(questions, answers)

    def questions(self, split: Split) -> list[Question]:
        """Those of a split, which no seed changes."""
        if split not in self._questions:
            specs = self.settings.questions
            questions = load_questions(specs, split, cache=self.root / CACHE)
            _refuse_unlabelled(questions)
            self._questions[split] = questions
        return self._questions[split]

    @cached_property
    def judging(self) -> list[Question]:
        """The questions that judge every checkpoint."""
        return limit_questions(self.questions(self.settings.split), self.settings.limit)

    def sample(self, seed: int) -> list[Question]:
        """The calibration questions of a seed."""
        return calibration_sample(self.questions("calibration"), self.settings.calibration, seed=seed)

    def statistics(self, model: str, seed: int) -> Calibration:
        """What has been measured of the dense model on them."""
        return Calibration.load(CalibrationJob(model=model, seed=seed).path(self.root))

    def grams(self, contender: Contender, model: str, seed: int) -> Grams | None:
        """The Gram matrices of the same questions, for a contender that is compensated by them."""
        if contender.mode != "ridge":
            return None
        return Grams.load(CalibrationJob(model=model, seed=seed).grams_path(self.root))

    def dense(self, model: str) -> Adapter:
        """The dense model, loaded once as long as no other is asked for.

        Raises:
            RunError: if it is not the model that earlier cells are of.
        """
        if self._dense is None or self._dense[0] != model:
            self._dense = None
            self._dense = model, load(model, self.loading)
            self._check_fingerprint(model, self._dense[1].shape.fingerprint)
        return self._dense[1]

    def _check_fingerprint(self, model: str, fingerprint: str) -> None:
        path = self.root / "models" / f"{Path(model).name}.json"
        if not path.exists():
            write_json(path, {"model": model, "fingerprint": fingerprint})
        stored = _read_note(path, _Model).fingerprint
        if stored != fingerprint:
            raise RunError(
                f"{path} is of a model with fingerprint {stored}, {model} now has {fingerprint}; choose another --out"
            )


def _refuse_unlabelled(questions: Sequence[Question]) -> None:
    """Refuses questions to which every dense model would have another answer, before a weight is read.

    Raises:
        QuestionError: saying how they get one.
    """
    number = sum(question.is_unlabelled for question in questions)
    if number:
        raise QuestionError(
            f"compare judges all contenders by the same answers, but {number} of the {len(questions)} questions come "
            "without one; run `hipp-prune calibrate` on them first, and give agreement:RUN/agreement.jsonl and "
            "agreement-objects:RUN/agreement-objects.jsonl instead"
        )


def _remove(folder: Path) -> None:
    """Removes a cell's checkpoints."""
    for checkpoint in folder.glob("*/"):
        remove_own(checkpoint)
    with suppress(OSError):
        folder.rmdir()


@dataclass(frozen=True, kw_only=True)
class _Twin:
    """Which cell judged a checkpoint first."""

    cell: str
    """Path of its result below the comparison's folder."""


@dataclass(frozen=True, kw_only=True)
class _Model:
    """Which model all cells of a name are of."""

    model: str
    fingerprint: str


_Note = TypeVar("_Note", _Twin, _Model)


def _read_note(path: Path, kind: type[_Note]) -> _Note:
    remedy = "delete it and start the comparison again"
    return read_document(path, kind, remedy=remedy, error=IncompleteRunError)


def search_folder(job: SearchJob, root: Path) -> SearchFolder:
    """Where a search keeps its archive and leaves what it has learnt."""
    folder = job.folder(root)
    return SearchFolder(folder, latency=folder / "latency.json")


def finished_search(job: SearchJob, root: Path, settings: CompareSettings) -> Spent | None:
    """The seconds and evaluations of a search that is over; None where it is still to be done.

    Raises:
        RunError: if it was begun with other settings.
    """
    searched = settings.search_settings(job.contender, job.seed)
    return read_search(search_folder(job, root), searched, remedy=OTHERWISE)


@dataclass
class _Laps:
    """Seconds by what they were spent on."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
