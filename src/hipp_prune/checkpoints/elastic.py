"""An elastic checkpoint: the dense model with its neurons in order of importance, and several plans that are prefixes.

The folder *is* the dense model: a stock checkpoint with permuted neurons, which compute the same. Each plan is a folder
in it with a configuration, its ``plan.json``, what it has of its own (down projections that compensate, or biases), and
``prefixes.json``: how much it takes of which tensor of the dense model. ``models.uneven.elastic_tensors`` reads that,
for our loader and as the remote code; ``checkpoints.separate`` makes a checkpoint of its own of a plan.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hipp_prune.checkpoints.card import write_card
from hipp_prune.checkpoints.folders import (
    check_output,
    copy_companions,
    open_shards,
    whole_or_not_at_all,
    write_description,
    write_weights,
)
from hipp_prune.checkpoints.ledger import PLAN_FILE
from hipp_prune.checkpoints.pruned import (
    bias_values,
    by_file,
    mlp_entries,
    pruned_config,
)
from hipp_prune.checkpoints.shards import (
    Change,
    Cut,
    Entry,
    Fitted,
    Place,
    Shard,
    Values,
    changed_bytes,
    read_shard,
    write_shard,
)
from hipp_prune.files.markdown import markdown_code
from hipp_prune.files.progress import Progress
from hipp_prune.files.sizes import format_bytes
from hipp_prune.models.pruned_settings import auto_map
from hipp_prune.models.uneven import PREFIXES, read_prefixes, weight_files
from hipp_prune.plans.arrays import Ints
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.prefixes import living_neurons

_FORMAT = 1
"""Version of ``prefixes.json``; a reader refuses any other."""

_REMARK = (
    "This is one plan of the elastic checkpoint in the folder above, which lends it weights, tokenizer and processor: "
    "it is of no use without that folder."
)
"""On the card of a plan."""

Entries = Mapping[tuple[int, str, str], Entry]
"""MLP tensors by (block, projection, weight or bias)."""


@dataclass(frozen=True, kw_only=True)
class CarriedOut:
    """A plan, and what compensates for the neurons that leave."""

    plan: Plan
    down_weights: Callable[[int, Tensor], Tensor] | None = None
    """As ``prune_checkpoint`` takes them."""
    down_biases: Sequence[Tensor] | None = None
    """As ``prune_checkpoint`` takes them."""


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """The slices of an axis in another order (a ``shards.Change``)."""

    order: Ints
    axis: int

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape stays, whatever it is."""
        return shape

    def apply(self, tensor: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Sorts a tensor given as bytes, [*shape, bytes of an element]."""
        return np.take(tensor, self.order, axis=self.axis)


@dataclass(frozen=True, kw_only=True)
class PlanSize:
    """How many bytes of tensors a plan of an elastic checkpoint is."""

    own: int
    """In files of its own."""
    loaded: int
    """In all, once it is loaded."""


@dataclass(frozen=True, kw_only=True)
class ElasticReport:
    """What ``write_elastic`` wrote."""

    path: Path
    dense: int
    """Bytes of the dense model's tensors."""
    plans: Mapping[str, PlanSize]
    """How large each is, by its name; what saves least comes first."""

    @property
    def summary(self) -> str:
        """A sentence for people: what lies there, and what a checkpoint for each plan would take."""
        plans = [
            f"{name} loads {format_bytes(size.loaded)}, {format_bytes(size.own)} of them its own"
            for name, size in self.plans.items()
        ]
        own = sum(size.own for size in self.plans.values())
        apart = sum(size.loaded for size in self.plans.values())
        return (
            f"{self.path}: the dense model, {format_bytes(self.dense)}, and {len(plans)} plans: {'; '.join(plans)}; "
            f"{format_bytes(self.dense + own)} of tensors in all, where a checkpoint each would take "
            f"{format_bytes(self.dense + apart)} with the dense model"
        )


def write_elastic(
    source: Path,
    out: Path,
    plans: Mapping[str, Plan],
    orders: Sequence[Ints],
    carry_out: Callable[[Plan], CarriedOut],
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> ElasticReport:
    """Writes an elastic checkpoint, whole or not at all; one tensor is in memory at a time.

    Args:
        source: the dense checkpoint, with safetensors weights.
        out: folder to write.
        plans: made for the source, by the names of their folders.
        orders: of each block's neurons, in which every plan is a prefix; see ``plans.prefixes.nested_orders``.
        carry_out: called for one plan after the other, before the dense model is written.
        force: replace a checkpoint that is already there.
        progress: called with (plans and files written, plans and files).

    Raises:
        CheckpointError: if the source is incomplete, quantised or not safetensors, or ``out`` cannot be written.
        OutputExistsError: if ``out`` exists and ``force`` is false, or it is no checkpoint.
        UnsupportedModelError: if blocks of uneven width cannot be stored for this family.
    """
    check_output(source, out, force=force)
    shards = open_shards(source)
    entries = mlp_entries(shards, next(iter(plans.values())).shape)
    dense = sum(shard.num_bytes for shard in shards)
    most = sum(_most_bytes(entries, plan) for plan in plans.values())
    config = pruned_config(source, next(iter(plans.values())).shape.neurons)
    config["auto_map"] = auto_map(config["model_type"])

    def told(done: int) -> None:
        if progress is not None:
            progress(done, len(plans) + len(shards))

    with whole_or_not_at_all(out, needed=dense + most) as folder:
        for done, (name, plan) in enumerate(plans.items(), start=1):
            (folder / name).mkdir()
            _write_plan(source, folder / name, shards, entries, orders, carry_out(plan))
            write_card(folder / name, f"{out.name}/{name}", [_REMARK])
            told(done)
        written = write_weights(
            source, shards, folder, _sorting(entries, orders), by_file(shards, {}), (),
            lambda done, _: told(len(plans) + done),
        )  # fmt: skip
        assert written == dense, f"wrote {written} bytes of tensors instead of {dense}"
        copy_companions(source, folder)
        write_description(folder, config, {})
        sizes = {name: measure_plan(folder / name) for name in plans}
        write_card(folder, out.name, [_card_of_plans(plans, sizes)])
    return ElasticReport(path=out, dense=dense, plans=sizes)


def plan_folders(folder: Path) -> list[Path]:
    """The plans of an elastic checkpoint, by name; none of any other checkpoint."""
    return sorted(path.parent for path in folder.glob(f"*/{PREFIXES}"))


def measure_plan(folder: Path) -> PlanSize:
    """The bytes of one plan of an elastic checkpoint, by the headers of its files.

    Raises:
        CheckpointError: if a file is missing or damaged.
    """
    prefixes = read_prefixes(folder)
    own = [entry for entry, _ in own_tensors(folder).values()]
    names = {entry.name for entry in own}
    loaded = bytes_own = sum(entry.num_bytes for entry in own)
    for entry in (entry for shard in open_shards(folder.parent) for entry in shard.entries):
        if entry.stored in prefixes:
            axis, width = prefixes[entry.stored]
            loaded += entry.num_bytes // entry.shape[axis] * width
        elif entry.name not in names:
            loaded += entry.num_bytes
    return PlanSize(own=bytes_own, loaded=loaded)


def own_tensors(folder: Path) -> dict[str, tuple[Entry, Place]]:
    """The tensors that a plan has of its own, and where they lie, by name."""
    shards = [read_shard(path, hub_names=False) for path in weight_files(folder)]
    return {entry.name: (entry, (shard, entry)) for shard in shards for entry in shard.entries}


def _sorting(entries: Entries, orders: Sequence[Ints]) -> dict[str, Change]:
    """What happens to each MLP tensor of the dense model, by its name."""
    return {
        entry.name: Sorted(order=orders[block], axis=int(projection == "down"))
        for (block, projection, kind), entry in entries.items()
        if projection != "down" or kind == "weight"
    }


def _most_bytes(entries: Entries, plan: Plan) -> int:
    """Bytes that a plan may need of its own: all its down projections, and a bias for each."""
    downs = [entries[block, "down", "weight"] for block in range(plan.shape.num_blocks)]
    living = [int(mask.sum()) for mask in living_neurons(plan)]
    return sum(
        down.num_bytes // down.shape[1] * (width + 1) for down, width in zip(downs, living, strict=True)
    )


def _write_plan(
    source: Path,
    folder: Path,
    shards: Sequence[Shard],
    entries: Entries,
    orders: Sequence[Ints],
    done: CarriedOut,
) -> None:
    """Writes a plan's folder: description, prefixes, and what it has of its own.

    Args:
        source: the dense checkpoint.
        folder: to fill.
        shards: the source's.
        entries: its MLP tensors.
        orders: of each block's neurons, as they are going to lie.
        done: the plan, carried out.
    """
    widths = [int(mask.sum()) for mask in living_neurons(done.plan)]
    changes, values = _own_tensors(entries, orders, widths, done)
    kept_out = {entry.name for shard in shards for entry in shard.entries} - changes.keys()
    for number, shard in enumerate(shards, start=1):
        biases = by_file(shards, values)[shard.path]
        if changed_bytes(shard, changes, biases, kept_out):
            write_shard(shard, folder / f"downs-{number}.safetensors", changes, biases, kept_out)
    prefixes = {
        entry.stored: (int(projection == "down"), widths[block])
        for (block, projection, kind), entry in entries.items()
        if (projection != "down" or kind == "weight")
        and entry.name not in changes
        and widths[block] < len(orders[block])
    }
    config = pruned_config(source, widths, down_bias=done.down_biases is not None)
    config["auto_map"] = auto_map(config["model_type"])
    told = json.dumps({"format": _FORMAT, "prefixes": prefixes}, indent=1) + "\n"
    write_description(folder, config, {PLAN_FILE: done.plan.to_json(), PREFIXES: told})


def _own_tensors(
    entries: Entries, orders: Sequence[Ints], widths: Sequence[int], done: CarriedOut
) -> tuple[dict[str, Change], dict[str, Values]]:
    """Down projections that are no prefixes, as changes to the dense ones, and biases.

    Args:
        entries: MLP tensors of the dense model.
        orders: of each block's neurons.
        widths: neurons of each block that live.
        done: the plan, carried out.
    """
    changes: dict[str, Change] = {}
    values = bias_values(entries, done.down_biases or ())
    for block, (order, width) in enumerate(zip(orders, widths, strict=True)):
        entry, bias = entries[block, "down", "weight"], entries.get((block, "down", "bias"))
        fit: Callable[[Tensor], Tensor] | None = None
        if done.down_weights is not None and (width < len(order) or done.plan.compensation != "ridge"):
            fit = partial(_fitted_in_order, partial(done.down_weights, block), order[:width])
        outputs = done.plan.keep_masks()[3 * block + 2] if done.plan.unit == "rows" else None
        if outputs is not None and not outputs.all():
            fit = partial(_silenced_in_order, outputs, order[:width])
            if bias is not None:
                changes[bias.name] = Cut(keep=outputs, axis=0, zero=True)
        if fit is not None:
            keep = np.arange(len(order)) < width
            changes[entry.name] = Fitted(keep=keep, dtype=entry.dtype, fit=fit)
    return changes, values


def _fitted_in_order(fit: Callable[[Tensor], Tensor], order: Ints, weight: Tensor) -> Tensor:
    """The fitted columns of the neurons that stay, most important first; ``fit`` leaves them by index."""
    places = np.searchsorted(np.sort(order), order)
    return fit(weight)[:, torch.from_numpy(places)]


def _silenced_in_order(outputs: NDArray[np.bool_], order: Ints, weight: Tensor) -> Tensor:
    """The columns of the neurons that stay, most important first, with zeros in the rows that are masked."""
    columns = weight[:, torch.from_numpy(order)]
    columns[torch.from_numpy(~outputs)] = 0
    return columns


def _card_of_plans(plans: Mapping[str, Plan], sizes: Mapping[str, PlanSize]) -> str:
    """The part of the card that says which plans there are."""
    table = "\n".join(
        f"| {markdown_code(name)} | {plan.ledger.mlp:.1%} | {format_bytes(sizes[name].loaded)} "
        f"| {format_bytes(sizes[name].own)} |"
        for name, plan in plans.items()
    )
    load = f'from_pretrained("FOLDER", trust_remote_code=True, plan="{next(iter(plans))}")'
    return (
        "## Plans\n\nThe model is whole, its neurons sorted by importance; each plan is a prefix of them.\n\n"
        f"| plan | MLP parameters saved | loads | of its own |\n|---|---:|---:|---:|\n{table}\n\n"
        f"```python\nmodel = AutoModelForImageTextToText.{load}\n```"
    )
