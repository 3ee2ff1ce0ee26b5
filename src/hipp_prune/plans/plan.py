"""A pruning plan and its JSON file (Eq. 4).

A plan says how many neurons each unit keeps. Nothing here needs torch: a plan can be made, read, checked and
printed without loading a model.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from hipp_prune.errors import PlanError
from hipp_prune.files.places import found_instead
from hipp_prune.files.ranges import Count, Faster, Large, Natural, Positive, Share
from hipp_prune.files.reading import read_text
from hipp_prune.files.strict import check_value, parse_json
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.costs import Compression, Costs
from hipp_prune.plans.modes import Compensation, compensation_notes
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import Ledger, ModelShape, PlanSpace, UnitKind

PLAN_FORMAT = 2
"""Version of the plan file; a reader refuses any other. 2: cost tables and what they say a plan saves."""

_REMEDY = "write one with `hipp-prune query RUN --preference R,U,C --out PLAN`"


@dataclass(frozen=True, kw_only=True)
class _PlanFile:
    """What a plan file holds, as :meth:`Plan.to_json` writes it."""

    format: Annotated[int, Ge(PLAN_FORMAT), Le(PLAN_FORMAT)]
    unit: UnitKind
    kept: tuple[Natural, ...]
    ratios: tuple[Share, ...]
    """For readers of the file; the counts say the same."""
    sparsity: Ledger
    costs: Costs
    preference: Preference | None
    importance: str
    model: ModelShape
    notes: dict[str, Any]
    masks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _ReadNotes:
    """The notes that are read again; whatever else stands among them is for people."""

    compression: Compression = "parameters"
    sparsity: float | None = None
    fit: str | None = None
    context: Natural = 0
    batch: Count = 1
    bytes: Large | None = None
    speed: Faster | None = None
    reached: Positive | None = None
    align: Count = 1
    uniform: bool = False
    require: dict[str, float] = field(default_factory=dict)
    predicted: dict[str, dict[str, float]] = field(default_factory=dict)
    compensation: Compensation = "none"
    image_weight: Share | None = 0.5
    model: str | None = None
    sources: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many and which neurons each unit keeps; self-contained, so that ``prune`` needs nothing else."""

    shape: ModelShape
    """The model the plan was made for."""
    unit: UnitKind
    kept: tuple[int, ...]
    """Neurons (``rows``: rows) kept by each unit, length U."""
    masks: tuple[bytes, ...]
    """Packed keep-bits (``numpy.packbits``): one mask a block for ``coupled``; gate, up, down for ``rows``."""
    ledger: Ledger
    tables: Costs = field(default_factory=Costs)
    """What the ledger's FLOPs and seconds were read from."""
    importance: str
    """Criterion that ranked the neurons (Eq. 10 or a named one)."""
    preference: Preference | None = None
    """λ it answers, if a policy made it."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Provenance: run, target sparsity, alignment, seed."""

    @property
    def compensation(self) -> Compensation:
        """How the neurons that stay answer for the others, as it was when the plan was evaluated."""
        mode: Compensation = self.notes.get("compensation", "none")
        return mode

    def with_compensation(
        self,
        mode: Compensation,
        image_weight: float | None,
        ridge_factor: float | None = None,
        *,
        reconstruct_minutes: float = 0.0,
    ) -> "Plan":
        """The plan, carried out in another way.

        Args:
            mode: how.
            image_weight: of image tokens in what compensates.
            ridge_factor: of μ, once it is known.
            reconstruct_minutes: that gate, up and down were fitted by gradient at the end, ≥ 0.
        """
        told = (
            "compensation",
            "image_weight",
            "ridge_factor",
            "reconstruct_minutes",
            "bias_parameters_added",
        )
        silent = {name: note for name, note in self.notes.items() if name not in told}
        added = self.shape.num_blocks * self.shape.hidden_size
        biases = {"bias_parameters_added": added} if mode == "bias" else {}
        notes = compensation_notes(mode, image_weight, ridge_factor)
        if reconstruct_minutes:
            notes["reconstruct_minutes"] = reconstruct_minutes
        return replace(self, notes=silent | biases | notes)

    @property
    def image_weight(self) -> float | None:
        """Weight of image tokens in what compensates."""
        weight: float | None = self.notes.get("image_weight", 0.5)
        return weight

    @property
    def space(self) -> PlanSpace:
        """The plan's space, with a box just wide enough to hold it."""
        return PlanSpace(shape=self.shape, unit=self.unit, r_max=1 - 1e-9, tables=self.tables)

    @property
    def ratios(self) -> Floats:
        """Fraction removed of each unit, shape [U]."""
        widths = self.space.widths
        result: Floats = 1.0 - np.array(self.kept) / widths
        return result

    @property
    def mask_widths(self) -> tuple[int, ...]:
        """Length in bits of each mask."""
        if self.unit == "coupled":
            return self.shape.neurons
        return tuple(width for n in self.shape.neurons for width in (n, n, self.shape.hidden_size))

    def keep_masks(self) -> list[NDArray[np.bool_]]:
        """Boolean keep-masks in the order of ``masks``."""
        return [
            np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=width).astype(bool)
            for packed, width in zip(self.masks, self.mask_widths, strict=True)
        ]

    def check_model(self, shape: ModelShape) -> None:
        """Refuses a model the plan was not made for.

        Raises:
            PlanError: naming what differs: family, block widths, or weights.
        """
        ours = self.shape
        if shape.family != ours.family:
            raise PlanError(
                f"the plan was made for a {ours.family} model, this one is {shape.family}; give the model the plan was "
                "made for, or make a plan for this model with `hipp-prune query`"
            )
        if shape.neurons != ours.neurons or shape.hidden_size != ours.hidden_size:
            raise PlanError(
                f"the plan was made for {ours.num_blocks} blocks of {_span(ours.neurons)} neurons (hidden size "
                f"{ours.hidden_size}), this model has {shape.num_blocks} of {_span(shape.neurons)} (hidden size "
                f"{shape.hidden_size}); make a plan for this model with `hipp-prune query`"
            )
        if shape.fingerprint != ours.fingerprint:
            raise PlanError(
                f"the plan was made for other weights (fingerprint {ours.fingerprint}, this model has "
                f"{shape.fingerprint}); calibrate and search this model, or give the model the plan was made for"
            )

    @property
    def asked_and_got(self) -> str | None:
        """See ``asked_and_got``."""
        return asked_and_got(self.notes, self.ledger)

    def to_json(self) -> str:
        """The plan file's text."""
        masks = [base64.b64encode(mask).decode("ascii") for mask in self.masks]
        return json.dumps({**self.document(), "masks": masks}, indent=1) + "\n"

    def document(self) -> dict[str, Any]:
        """All but the masks, as JSON has it."""
        return {
            "format": PLAN_FORMAT,
            "unit": self.unit,
            "kept": list(self.kept),
            "ratios": [round(float(ratio), 6) for ratio in self.ratios],
            "sparsity": asdict(self.ledger),
            "costs": asdict(self.tables),
            "preference": None if self.preference is None else asdict(self.preference),
            "importance": self.importance,
            "model": asdict(self.shape),
            "notes": self.notes,
        }

    @classmethod
    def from_json(cls, text: str, *, source: str = "plan") -> "Plan":
        """Reads a plan file's text and checks that it is consistent.

        Raises:
            PlanError: if it is not JSON, lacks a field, holds an unknown one, or contradicts itself.
        """
        content = parse_json(text, _PlanFile, where=source, remedy=_REMEDY, error=PlanError)
        notes = f"{source}, notes"
        check_value(content.notes, _ReadNotes, where=notes, remedy=_REMEDY, error=PlanError, foreign=True)
        try:
            masks = tuple(base64.b64decode(mask, validate=True) for mask in content.masks)
        except ValueError as error:
            raise PlanError(f"{source}: expected masks in base64, found {error}; {_REMEDY}") from error
        plan = cls(
            shape=content.model,
            unit=content.unit,
            kept=content.kept,
            masks=masks,
            ledger=content.sparsity,
            tables=content.costs,
            importance=content.importance,
            preference=content.preference,
            notes=content.notes,
        )
        plan._check(source)
        return plan

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Reads a plan file.

        Raises:
            PlanError: if there is no such file, or it is not a plan.
        """
        if not path.is_file():
            inside = f"; did you mean {path / 'plan.json'}?" if (path / "plan.json").is_file() else ""
            raise PlanError(f"expected a plan file, but {found_instead(path, _REMEDY)}{inside}")
        return cls.from_json(read_text(path, remedy=_REMEDY, error=PlanError), source=str(path))

    def _check(self, source: str) -> None:
        try:
            units = self.space.num_units
        except ValueError as error:
            raise PlanError(f"{source}: {error}; {_REMEDY}") from error
        if len(self.kept) != units or len(self.masks) != len(self.mask_widths):
            raise PlanError(
                f"{source}: {len(self.kept)} units and {len(self.masks)} masks do not fit the model; {_REMEDY}"
            )
        if any(
            8 * len(mask) - width not in range(8)
            for mask, width in zip(self.masks, self.mask_widths, strict=True)
        ):
            raise PlanError(f"{source}: the masks are not as long as the model's blocks are wide; {_REMEDY}")
        counts = tuple(int(mask.sum()) for mask in self.keep_masks())
        if self.unit == "rows":
            if counts[0::3] != counts[1::3]:
                raise PlanError(
                    f"{source}: the masks of gate and up keep different numbers of rows; {_REMEDY}"
                )
            counts = tuple(c for pair in zip(counts[0::3], counts[2::3], strict=True) for c in pair)
        if counts != self.kept:
            raise PlanError(
                f"{source}: the masks keep {counts} neurons, the counts say {self.kept}; {_REMEDY}"
            )
        ledger = self.space.ledger(np.array(self.kept))
        said, found = (np.array(astuple(each), dtype=np.float64) for each in (self.ledger, ledger))
        if not np.allclose(said, found, rtol=0, atol=1e-9, equal_nan=True):
            raise PlanError(
                f"{source}: the counts mean a sparsity of {ledger}, the file says {self.ledger}; {_REMEDY}"
            )


def asked_and_got(notes: Mapping[str, Any], ledger: Ledger) -> str | None:
    """One sentence: the saving, size or speed that was asked for and what came of it; None where none was.

    Args:
        notes: of a plan or of what a baseline planned.
        ledger: what it saves.
    """
    asked = [each for each in (_saving(notes, ledger), _size(notes), _speed(notes)) if each is not None]
    if not asked:
        return None
    align = notes.get("align", 1)
    wanted = notes.get("asked_align", align)
    how = ["all blocks equally wide"] if notes.get("uniform") else []
    how += [f"widths in multiples of {align}"] if align > 1 else []
    how += [f"since a block is narrower than {wanted}"] if wanted != align else []
    return ", ".join([*asked, *how])


def _saving(notes: Mapping[str, Any], ledger: Ledger) -> str | None:
    asked, compression = notes.get("sparsity"), notes.get("compression", "parameters")
    column, name = {"parameters": ("mlp", "MLP parameters"), "latency": ("latency", "latency")}.get(
        compression, ("flops", "FLOPs")
    )
    if notes.get("match") == "block":
        column, name = "block", "block parameters"
    got = getattr(ledger, column)
    return None if asked is None or got is None else f"asked for {asked:.2%} of {name}, got {got:.2%}"


def _size(notes: Mapping[str, Any]) -> str | None:
    if (asked := notes.get("fit")) is None:
        return None
    context, batch = notes.get("context", 0), notes.get("batch", 1)
    cache = f" with the KV cache of {batch} × {context:,} tokens" if context else ""
    return f"asked to fit {asked}{cache}, takes {notes['bytes']:,} bytes"


def _speed(notes: Mapping[str, Any]) -> str | None:
    if (asked := notes.get("speed")) is None:
        return None
    return f"asked for {asked:g} × the speed, got {notes['reached']:.3f} × by the measured latencies"


def keep_masks(unit: UnitKind, orders: Sequence[Ints], kept: Sequence[int]) -> list[NDArray[np.bool_]]:
    """Boolean keep-masks, in original order, of a plan that keeps the best of each ranking.

    Args:
        unit: what a unit is.
        orders: neurons of each block, most important first; ``rows``: gate, up and down rows of each block.
        kept: kept counts, length U.
    """
    counts = list(kept)
    if unit == "rows":
        counts = [
            count
            for gate_up, down in zip(kept[::2], kept[1::2], strict=True)
            for count in (gate_up, gate_up, down)
        ]
    masks = []
    for order, count in zip(orders, counts, strict=True):
        mask = np.zeros(len(order), dtype=np.bool_)
        mask[order[:count]] = True
        masks.append(mask)
    return masks


def pack_masks(masks: Sequence[NDArray[np.bool_]]) -> tuple[bytes, ...]:
    """Keep-masks as stored in a plan."""
    return tuple(np.packbits(mask).tobytes() for mask in masks)


def _span(counts: tuple[int, ...]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)}–{max(counts)}"
