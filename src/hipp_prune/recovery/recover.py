"""A recovery from a checkpoint folder to a checkpoint folder (Section 2.7)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.checkpoints.finding import find_tensors
from hipp_prune.checkpoints.folders import check_output, open_shards
from hipp_prune.checkpoints.ledger import ADDED, PLAN_FILE, RECOVERY_FILE, added_parameters
from hipp_prune.errors import QuestionError
from hipp_prune.files.progress import Progress
from hipp_prune.files.replacing import beside, settle
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan
from hipp_prune.questions.benchmarks import role_of
from hipp_prune.questions.fingerprint import fingerprint_questions
from hipp_prune.questions.question import Question
from hipp_prune.recovery.parts import Parts, unfreeze
from hipp_prune.recovery.pictures import Show, Shows, frozen_pictures, projected_pictures
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.recovery.state import StateFile
from hipp_prune.recovery.training import Student, train
from hipp_prune.recovery.writing import write_checkpoint


@dataclass(frozen=True, kw_only=True)
class RecoveryReport:
    """What ``recover_checkpoint`` did; bytes are those of the tensors, without file headers."""

    path: Path
    steps: int
    trained: int
    """Parameters trained, LoRA's factors included."""
    untied: int
    """Parameters that the head's own weights added; 0 where it had its own or was not trained."""
    losses: tuple[float, ...]
    """Training loss of every step."""
    bytes_before: int
    bytes_after: int

    @property
    def loss_before(self) -> float:
        """Mean loss of the first tenth of the steps."""
        return _mean(self.losses[: max(1, len(self.losses) // 10)])

    @property
    def loss_after(self) -> float:
        """Mean loss of the last tenth of the steps."""
        return _mean(self.losses[-max(1, len(self.losses) // 10) :])

    @property
    def summary(self) -> str:
        """One sentence for people."""
        head = (
            f"; the untied head adds {self.untied:,} parameters, {self.bytes_before:,} → {self.bytes_after:,} bytes"
            if self.untied
            else f"; {self.bytes_after:,} bytes of tensors, as before"
        )
        return (
            f"{self.path}: {self.trained:,} parameters trained for {self.steps} steps, "
            f"loss {self.loss_before:.3f} → {self.loss_after:.3f}{head}"
        )


def state_file(out: Path) -> Path:
    """Where the state of a recovery to ``out`` lies until it is finished."""
    return beside(out, ".recovery.safetensors")


def discard_finished(out: Path) -> None:
    """Puts a finished recovery in its place, and removes its state, where a kill came in between.

    The state of another recovery than the one that ``out`` holds stays.

    Raises:
        CheckpointError: if ``recovery.json`` is damaged.
        RunError: if a file cannot be moved or removed.
    """
    settle(out)
    record = out / RECOVERY_FILE
    if state_file(out).is_file() and record.is_file():
        state = StateFile(state_file(out), read_config_file(record).get("settings", {}))
        if state.is_theirs():
            state.discard()


def recover_checkpoint(
    source: Path,
    adapter: Adapter,
    questions: Sequence[Question],
    out: Path,
    settings: RecoverySettings,
    *,
    teacher: Adapter | None = None,
    features: Path | Shows | None = None,
    keep_adapter: bool = False,
    force: bool = False,
    record: Mapping[str, Any] | None = None,
    encoding: Progress | None = None,
    progress: Progress | None = None,
) -> RecoveryReport:
    """Trains a checkpoint's head, norm, projector and LoRA, and writes what that makes of it, merged.

    Killed, it goes on from its last saved state and comes to the same bits on the same machine.

    Args:
        source: checkpoint folder.
        adapter: the model loaded from it; it is changed.
        questions: the recovery split.
        out: folder to make.
        settings: settings.
        teacher: the dense model, if its answers are distilled.
        features: where image features lie that memory does not hold, or what gives others than the model's own.
        keep_adapter: whether LoRA is kept apart too, in ``OUT/adapter``.
        force: replace a checkpoint that is already there, and start an interrupted recovery over.
        record: what else ``recovery.json`` is to say.
        encoding: told (pictures encoded, pictures in all).
        progress: told (steps done, steps).

    Raises:
        OutputExistsError: if ``out`` exists and ``force`` is false.
        QuestionError: if there is no question.
        CheckpointError: if the source is no floating-point safetensors checkpoint, or the disk is full.
        RunError: if an interrupted recovery to ``out`` had other settings.
        InputError: if the settings do not fit the model.
    """
    check_output(source, out, force=force)
    questions = [
        q for q in questions if role_of(q) != "robustness" or settings.only_subset in (None, q.subset)
    ]
    if not questions:
        raise QuestionError("expected recovery questions, found none; give more --questions")
    plan = Plan.load(source / PLAN_FILE) if (source / PLAN_FILE).is_file() else None
    robust_share = settings.robust_share(None if plan is None else plan.preference)
    shards = open_shards(source)
    parts = unfreeze(adapter, settings)
    places = find_tensors(shards, parts.originals())
    begun_with = {
        **{key: value for key, value in asdict(settings).items() if key != "save_every"},
        "model": adapter.shape.fingerprint,
        "dtype": str(adapter.model.dtype),
        "teacher": None if teacher is None else teacher.shape.fingerprint,
        "questions": fingerprint_questions(questions),
    }
    state = StateFile(state_file(out), begun_with)
    if force:
        state.discard()
    student = Student(adapter=adapter, show=shown_pictures(adapter, parts, questions, features, encoding))
    told = None
    if teacher is not None:
        told = Student(adapter=teacher, show=shown_pictures(teacher, None, questions, features))
    losses = train(
        student,
        parts,
        questions,
        settings,
        robust_share=robust_share,
        state=state,
        teacher=told,
        progress=progress,
    )
    written = write_checkpoint(
        source,
        out,
        shards,
        places,
        parts=parts,
        record={
            **(record or {}),
            "settings": begun_with,
            ADDED: added_parameters(source) + parts.untied,
            "losses": losses,
        },
        keep_adapter=keep_adapter,
    )
    state.discard()
    return RecoveryReport(
        path=out,
        steps=len(losses),
        trained=sum(parameter.numel() for parameter in parts.parameters.values()),
        untied=parts.untied,
        losses=tuple(losses),
        bytes_before=sum(shard.num_bytes for shard in shards),
        bytes_after=written,
    )


def shown_pictures(
    adapter: Adapter,
    parts: Parts | None,
    questions: Sequence[Question],
    features: Path | Shows | None = None,
    progress: Progress | None = None,
) -> Show:
    """What a model in training sees of the pictures.

    Args:
        adapter: the model.
        parts: what of it is trained, if anything is.
        questions: whose pictures.
        features: where they lie that memory does not hold, or what gives others than the model's own.
        progress: told (pictures encoded, pictures in all).
    """
    if not (features is None or isinstance(features, Path)):
        return features(adapter)
    if parts is None or parts.projector is None:
        return frozen_pictures(adapter, questions, folder=features, progress=progress)
    return projected_pictures(adapter, questions, parts.projector, progress=progress)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
