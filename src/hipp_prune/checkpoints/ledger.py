"""What a checkpoint says it saves: its plan's ledger, or one of its own where more than neurons left."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.errors import CheckpointError
from hipp_prune.files.ranges import Large
from hipp_prune.files.reading import read_document
from hipp_prune.files.strict import check_value
from hipp_prune.models.uneven import DOWN_BIAS, KEY_VALUE_HEADS, RESIDUAL_WIDTH
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import Ledger, ModelShape

PLAN_FILE = "plan.json"
LEDGER_FILE = "ledger.json"
RECOVERY_FILE = "recovery.json"

CARD_FILE = "README.md"
PRUNED_SECTION = "## What was pruned"
"""The heading of a pruned model's card; a dense one's has none."""
_PRUNED_SETTINGS = (DOWN_BIAS, KEY_VALUE_HEADS, RESIDUAL_WIDTH)
"""Settings of a text config that only pruning makes."""

ADDED = "untied_parameters"
"""The entry of ``recovery.json`` that says how many parameters untying the head has added."""


@dataclass(frozen=True, kw_only=True)
class _LedgerFile:
    """What ``ledger.json`` holds."""

    sparsity: Ledger
    model: ModelShape
    notes: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _ReadNotes:
    """The notes of ``ledger.json`` that are read again."""

    compensation: Compensation = "none"


@dataclass(frozen=True, kw_only=True)
class _RecoverySettings:
    """The setting of a recovery that is read again."""

    projector: bool


@dataclass(frozen=True, kw_only=True)
class _RecoveryFile:
    """What of ``recovery.json`` is read again."""

    untied_parameters: Large
    settings: _RecoverySettings


@dataclass(frozen=True, kw_only=True)
class Savings:
    """What was saved of which model."""

    ledger: Ledger
    shape: ModelShape
    """The model before pruning: the denominators of the ledger."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """How the plan was made: method, settings, calibration."""

    def to_json(self) -> str:
        """The text of ``ledger.json``."""
        content = {"sparsity": asdict(self.ledger), "model": asdict(self.shape), "notes": dict(self.notes)}
        return json.dumps(content, indent=1) + "\n"


def read_savings(folder: Path) -> Savings | None:
    """What a checkpoint says it saves, as pruning left it; None for a dense model.

    Raises:
        CheckpointError: if its ``ledger.json`` is damaged.
        PlanError: if its ``plan.json`` is.
    """
    path = folder / LEDGER_FILE
    if not path.is_file():
        if not (folder / PLAN_FILE).is_file():
            return None
        plan = Plan.load(folder / PLAN_FILE)
        return Savings(ledger=plan.ledger, shape=plan.shape, notes=plan.notes)
    remedy = "write the checkpoint again with `hipp-prune baseline`"
    content = read_document(path, _LedgerFile, remedy=remedy, error=CheckpointError)
    where = f"{path}, notes"
    check_value(content.notes, _ReadNotes, where=where, remedy=remedy, error=CheckpointError, foreign=True)
    return Savings(ledger=content.sparsity, shape=content.model, notes=content.notes)


def checkpoint_compensation(folder: Path) -> Compensation:
    """How a checkpoint's neurons answer for those that left; ``none`` too for a dense model.

    Raises:
        CheckpointError, PlanError: see ``read_savings``.
    """
    savings = read_savings(folder)
    mode: Compensation = "none" if savings is None else savings.notes.get("compensation", "none")
    return mode


def lost_savings(folder: Path) -> str | None:
    """One sentence about a pruned checkpoint without the file that says what left; None for any other.

    Blocks that are no stock model's tell it, or the card that pruning wrote.

    Raises:
        CheckpointError: if its ``config.json`` cannot be read.
    """
    if (folder / PLAN_FILE).is_file() or (folder / LEDGER_FILE).is_file():
        return None
    config = read_config_file(folder / "config.json")
    text = config.get("text_config", config)
    blocks = (text.get("per_layer_config") or {}).values()
    uneven = any("intermediate_size" in block for block in blocks)
    told = uneven or any(text.get(setting) for setting in _PRUNED_SETTINGS)
    if not told and (folder / CARD_FILE).is_file():
        card = (folder / CARD_FILE).read_text(encoding="utf-8", errors="replace")
        told = PRUNED_SECTION in card and "hipp-prune" in card
    if not told:
        return None
    return (
        f"{folder} is a pruned checkpoint, but neither {PLAN_FILE} nor {LEDGER_FILE} is there to say what left, so its "
        "savings are unknown; copy that file back from the checkpoint that hipp-prune wrote"
    )


def added_parameters(folder: Path) -> int:
    """Parameters that recoveries have added to a checkpoint by untying its head.

    Raises:
        CheckpointError: if its ``recovery.json`` is damaged.
    """
    record = _recovery(folder)
    return 0 if record is None else record.untied_parameters


def trained_projector(folder: Path) -> bool:
    """Whether a recovery has changed a checkpoint's multimodal projector.

    Raises:
        CheckpointError: if its ``recovery.json`` is damaged.
    """
    record = _recovery(folder)
    return record is not None and record.settings.projector


def _recovery(folder: Path) -> _RecoveryFile | None:
    path = folder / RECOVERY_FILE
    if not path.is_file():
        return None
    remedy = "recover the checkpoint again with `hipp-prune recover`"
    return read_document(path, _RecoveryFile, remedy=remedy, error=CheckpointError, foreign=True)


def checkpoint_ledger(folder: Path) -> Ledger | None:
    """What a checkpoint saves: what pruning did, less what recoveries have added; None for a dense model.

    Raises:
        CheckpointError, PlanError: if the file that says so is damaged.
    """
    savings = read_savings(folder)
    if savings is None:
        return None
    added, ledger, shape = added_parameters(folder), savings.ledger, savings.shape
    return replace(
        ledger,
        language=ledger.language - added / shape.language_parameters,
        model=ledger.model - added / shape.total_parameters,
    )
