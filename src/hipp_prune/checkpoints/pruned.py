"""A smaller checkpoint from a plan, by surgery: MLP tensors are cut, everything else is copied as it is.

Nothing goes through ``save_pretrained``: hub key names, dtypes and shards stay, and the weights pass through
memory one tensor at a time. What comes out loads bit by bit alike with our own loader and with plain
``AutoModelForImageTextToText.from_pretrained(path, trust_remote_code=True)``; where all blocks end up equally
wide it is a stock model that needs no remote code.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from hipp_prune.checkpoints.configs import nested_config, read_config_file
from hipp_prune.checkpoints.folders import check_output, open_shards, write_folder
from hipp_prune.checkpoints.ledger import LEDGER_FILE, PLAN_FILE, Savings, lost_savings, read_savings
from hipp_prune.checkpoints.shards import FLOATS, Change, Cut, Entry, Fitted, Shard, Values
from hipp_prune.errors import CheckpointError
from hipp_prune.files.manifest import check_all
from hipp_prune.files.progress import Progress
from hipp_prune.models import load_model
from hipp_prune.models.described import stored_followers
from hipp_prune.models.loading import read_config
from hipp_prune.models.pruned_settings import auto_map, needs_code, pruned_settings
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import ModelShape, UnitKind

_MLP = re.compile(r"(?:^|\.)layers\.(\d+)\.mlp\.(gate|up|down)_proj\.(weight|bias)$")
_OTHER_PART = re.compile(
    r"vision|visual|image|audio|connector|projector|resampler|perceiver|merger|(?:^|\.)mtp(?:\.|$)"
)
"""Qwen's vision blocks, Idefics2's connector and Qwen3.5's heads for several tokens (``mtp``, which transformers leaves
out) have gate, up and down projections too; the language model's tensors are never below such a name."""


@dataclass(frozen=True, kw_only=True)
class CheckpointReport:
    """What ``prune_checkpoint`` wrote; bytes are those of the tensors, without file headers."""

    path: Path
    unit: UnitKind
    widths: tuple[int, ...]
    """MLP neurons of each block as stored."""
    bytes_before: int
    bytes_after: int
    """Measured on the files."""
    predicted_bytes: int
    """What the plan's kept counts promised; equal to ``bytes_after``."""
    remote_code: bool
    """Whether other programs need ``trust_remote_code=True`` to load it."""
    pruned_before: bool = False
    """Whether the source was a pruned checkpoint itself."""

    @property
    def summary(self) -> str:
        """One sentence for people: what was saved, or that nothing was."""
        if self.unit == "rows":
            return (
                f"nothing is saved: row masks leave every tensor its size, so {self.path} still holds "
                f"{self.bytes_after:,} bytes, masked rows as zeros; prune with the coupled unit to save"
            )
        saved = 1 - self.bytes_after / self.bytes_before
        sizes = (
            f"{self.path}: {self.bytes_before:,} → {self.bytes_after:,} bytes of tensors ({saved:.1%} saved)"
        )
        if not self.pruned_before:
            return sizes
        return f"{sizes}; the source had been pruned before, and savings are counted from it, not from the dense model"


def prune_checkpoint(
    source: Path,
    plan: Plan,
    out: Path,
    *,
    down_weights: Callable[[int, Tensor], Tensor] | None = None,
    down_biases: Sequence[Tensor] | None = None,
    gate_up_weights: Sequence[tuple[Tensor, Tensor]] | None = None,
    shape: ModelShape | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Writes the checkpoint that ``plan`` makes of ``source``, whole or not at all.

    ``coupled`` plans remove tensor slices. The rows of ``rows`` plans are stored as zeros and nothing gets
    smaller: gate and up lose different rows, and down's rows are coordinates of the residual stream.

    Args:
        source: checkpoint folder with safetensors weights, one file or several.
        plan: made for exactly this model.
        out: folder to write; its parent is made if need be.
        down_weights: from a block's index and its W_down [hidden, N] to the columns that stay, fitted anew, [hidden,
            kept]; the plan's slices of W_down if none is given.
        down_biases: what the down projection of each block gets as its bias, [hidden] each, in place of its own.
        gate_up_weights: what gate and up of each block become, [kept, hidden] each; the plan's slices of them if none
            are given.
        shape: the source's shape if the caller knows it; otherwise the model is loaded (memory-mapped) to find
            out.
        force: replace a checkpoint that is already there.
        progress: called with (files written, files).

    Raises:
        CheckpointError: if the source is incomplete, quantised or not safetensors, or ``out`` cannot be
            written.
        PlanError: if the plan was made for another model.
        RunError: if we wrote the source and a file of it is no longer what we wrote.
        OutputExistsError: if ``out`` exists and ``force`` is false, or it is no checkpoint.
        UnsupportedModelError: if transformers has no class for the source's ``model_type``.
    """
    check_output(source, out, force=force)
    check_all(source)
    shards = open_shards(source)
    plan.check_model(load_model(source).shape if shape is None else shape)
    entries = mlp_entries(shards, plan.shape)
    cuts = _cuts(entries, plan)
    coupled = plan.unit == "coupled"
    assert coupled or (down_weights, down_biases, gate_up_weights) == (None, None, None), (
        "row plans are not compensated"
    )
    if down_weights is not None:
        cuts |= _fits(entries, plan, down_weights)
    if gate_up_weights is not None:
        cuts |= _replaced(entries, plan, gate_up_weights)
    widths = plan.kept if coupled else plan.shape.neurons
    config = (
        pruned_config(source, widths, down_bias=down_biases is not None)
        if coupled
        else read_config_file(source / "config.json")
    )
    biases = bias_values(entries, down_biases or ())
    before, after = write_folder(
        source,
        out,
        shards,
        changes=cuts,
        values=by_file(shards, biases),
        config=config,
        records={PLAN_FILE: plan.to_json()},
        progress=progress,
    )
    predicted = before - _removed_bytes(entries, plan) + _added_bytes(entries, biases)
    assert after == predicted, f"wrote {after} bytes of tensors, the plan predicted {predicted}"
    return CheckpointReport(
        path=out, unit=plan.unit, widths=tuple(widths), bytes_before=before, bytes_after=after,
        predicted_bytes=predicted, remote_code="auto_map" in config,
        pruned_before=read_savings(source) is not None or lost_savings(source) is not None,
    )  # fmt: skip


def write_beyond_neurons(
    source: Path,
    out: Path,
    shards: Sequence[Shard],
    *,
    savings: Savings,
    widths: Sequence[int],
    changes: Mapping[str, Change],
    config: Mapping[str, Any],
    values: Mapping[Path, Mapping[str, Values]] | None = None,
    dropped: Collection[str] = (),
    progress: Progress | None = None,
) -> CheckpointReport:
    """Writes a checkpoint that no plan of neurons describes: a ledger of its own lies in it instead.

    Args:
        source: checkpoint folder with safetensors weights.
        out: folder to write.
        shards: the source's.
        savings: what ``ledger.json`` says.
        widths: MLP neurons that each block has now.
        changes: what happens to a stored tensor, by its name.
        config: ``config.json``.
        values: what each file gains.
        dropped: stored tensors that leave.
        progress: called with (files written, files).
    """
    before, after = write_folder(
        source,
        out,
        shards,
        changes=changes,
        values=values or {shard.path: {} for shard in shards},
        config=config,
        records={LEDGER_FILE: savings.to_json()},
        dropped=dropped,
        progress=progress,
    )
    return CheckpointReport(
        path=out, unit="coupled", widths=tuple(widths), bytes_before=before, bytes_after=after,
        predicted_bytes=after, remote_code=True,
    )  # fmt: skip


def mlp_entries(shards: Sequence[Shard], shape: ModelShape) -> dict[tuple[int, str, str], Entry]:
    """The language model's MLP tensors by (block, projection, weight or bias), each exactly once.

    Raises:
        CheckpointError: if a weight is missing, twice there, or not of the model's shape.
    """
    found = find_mlp(shards)
    for block, neurons in enumerate(shape.neurons):
        for projection in ("gate", "up", "down"):
            rows = (neurons, shape.hidden_size)
            expected = rows[::-1] if projection == "down" else rows
            _check_weight(
                found.get((block, projection, "weight")), expected, f"{projection}_proj of block {block}"
            )
    return found


def find_mlp(shards: Sequence[Shard]) -> dict[tuple[int, str, str], Entry]:
    """The language model's MLP tensors by (block, projection, weight or bias), whatever their shapes.

    Raises:
        CheckpointError: if one of them is there twice.
    """
    found: dict[tuple[int, str, str], Entry] = {}
    for entry in (entry for shard in shards for entry in shard.entries):
        match = _MLP.search(entry.name)
        if match is None or _OTHER_PART.search(entry.name[: match.start()]):
            continue
        key = (int(match[1]), match[2], match[3])
        if key in found:
            raise CheckpointError(
                f"{entry.name} and {found[key].name} are both the {match[2]}_proj.{match[3]} of "
                f"block {match[1]}; expected one language model"
            )
        found[key] = entry
    return found


def _check_weight(entry: Entry | None, expected: tuple[int, ...], what: str) -> None:
    if entry is None or entry.shape != expected or entry.dtype not in FLOATS:
        state = "none" if entry is None else f"{entry.name} with shape {list(entry.shape)} of {entry.dtype}"
        raise CheckpointError(
            f"expected one floating-point weight of shape {list(expected)} for {what}, found {state}; "
            "prune the model before quantising or fusing it"
        )


def _cuts(entries: Mapping[tuple[int, str, str], Entry], plan: Plan) -> dict[str, Change]:
    """What happens to each MLP tensor, by its name in the checkpoint."""
    masks = plan.keep_masks()
    cuts: dict[str, Change] = {}
    for (block, projection, kind), entry in entries.items():
        if plan.unit == "rows":
            keep = masks[3 * block + ("gate", "up", "down").index(projection)]
            cuts[entry.name] = Cut(keep=keep, axis=0, zero=True)
        elif projection != "down" or kind == "weight":
            cuts[entry.name] = Cut(keep=masks[block], axis=1 if projection == "down" else 0)
    return cuts


def _fits(
    entries: Mapping[tuple[int, str, str], Entry], plan: Plan, fit: Callable[[int, Tensor], Tensor]
) -> dict[str, Change]:
    """What happens to each down projection that is fitted anew."""
    downs = [entries[block, "down", "weight"] for block in range(plan.shape.num_blocks)]
    return {
        entry.name: Fitted(keep=keep, dtype=entry.dtype, fit=partial(fit, block))
        for block, (entry, keep) in enumerate(zip(downs, plan.keep_masks(), strict=True))
    }


def _replaced(
    entries: Mapping[tuple[int, str, str], Entry], plan: Plan, weights: Sequence[tuple[Tensor, Tensor]]
) -> dict[str, Change]:
    """What happens to each gate and up projection that was reconstructed."""
    changes: dict[str, Change] = {}
    for block, (keep, pair) in enumerate(zip(plan.keep_masks(), weights, strict=True)):
        for projection, weight in zip(("gate", "up"), pair, strict=True):
            entry = entries[block, projection, "weight"]
            changes[entry.name] = Fitted(keep=keep, axis=0, dtype=entry.dtype, fit=partial(_instead, weight))
    return changes


def _instead(weight: Tensor, _: Tensor) -> Tensor:
    """A weight, whatever it stands in place of."""
    return weight


def _removed_bytes(entries: Mapping[tuple[int, str, str], Entry], plan: Plan) -> int:
    """Bytes that leave with the plan's neurons, from its counts alone: what the files are held against."""
    if plan.unit == "rows":
        return 0
    removed = 0
    for (block, projection, kind), entry in entries.items():
        if projection != "down" or kind == "weight":
            width = plan.shape.neurons[block]
            removed += entry.num_bytes // width * (width - plan.kept[block])
    return removed


def bias_values(entries: Mapping[tuple[int, str, str], Entry], biases: Sequence[Tensor]) -> dict[str, Values]:
    """The down projections' new biases by their names in the checkpoint, in their weights' dtypes."""
    values = {}
    for block, bias in enumerate(biases):
        weight = entries[block, "down", "weight"]
        values[weight.name.removesuffix("weight") + "bias"] = Values.of(bias, weight.dtype)
    return values


def by_file(shards: Sequence[Shard], biases: Mapping[str, Values]) -> dict[Path, dict[str, Values]]:
    """The biases of every file: where the old one lies, or else its weight."""
    homes = {entry.name: shard.path for shard in shards for entry in shard.entries}
    result: dict[Path, dict[str, Values]] = {shard.path: {} for shard in shards}
    for name, bias in biases.items():
        result[homes.get(name) or homes[name.removesuffix("bias") + "weight"]][name] = bias
    return result


def _added_bytes(entries: Mapping[tuple[int, str, str], Entry], values: Mapping[str, Values]) -> int:
    replaced = sum(entry.num_bytes for entry in entries.values() if entry.name in values)
    return sum(len(value.content) for value in values.values()) - replaced


def pruned_config(
    source: Path, widths: Sequence[int], *, down_bias: bool = False, heads: Sequence[int] | None = None
) -> dict[str, Any]:
    """``config.json`` of the pruned model; stock if its blocks are alike in all that the stock class knows.

    Where another part of the model is as wide as the configuration says its MLPs are, that width stays, and blocks that
    are alike have theirs each.

    Args:
        source: the checkpoint that was pruned.
        widths: neurons that each block keeps.
        down_bias: whether the down projections gain biases.
        heads: key/value heads that each block keeps; as before if none are given.
    """
    config = nested_config(source)
    text = _with_widths(source, config["text_config"])
    changed = pruned_settings(text, widths, down_bias=down_bias, heads=heads)
    if changed["intermediate_size"] != text["intermediate_size"] and stored_followers(source):
        changed = pruned_settings(text, widths, down_bias=down_bias, heads=heads, one_width=False)
    kept = {name: value for name, value in text.items() if name not in changed}
    config["text_config"] = kept | {name: value for name, value in changed.items() if value is not None}
    config.pop("auto_map", None)
    if needs_code(changed):
        config["auto_map"] = auto_map(config["model_type"])
    return config


def _with_widths(source: Path, text: dict[str, Any]) -> dict[str, Any]:
    """Settings of a language model, and what transformers knows of its widths where the file does not say it.

    LLaVA-1.5's file leaves out whatever is as in the first Llama.
    """
    known = read_config(source).get_text_config(decoder=True).to_dict()
    names = ("intermediate_size", "per_layer_config")
    return {**{name: known[name] for name in names if known.get(name)}, **text}
