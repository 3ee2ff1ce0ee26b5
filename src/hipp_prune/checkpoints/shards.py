"""Safetensors files as a header and a run of bytes: copy one with some tensors changed, whatever their dtype.

The safetensors library writes a file only from tensors that are all in memory. Here at most one tensor is, and
the rest is copied byte by byte, so that nothing is converted. The format is eight bytes of header length, a JSON
header of dtypes, shapes and offsets, and the tensors one after another.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader, BufferedWriter
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hipp_prune.errors import CheckpointError
from hipp_prune.files.manifest import check_whole
from hipp_prune.files.ranges import Large, Natural
from hipp_prune.files.strict import check_value, sound_json
from hipp_prune.files.system import cause
from hipp_prune.models.declared import REMEDY

FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Floating-point types as the format spells them."""

_CHUNK = 1 << 24
"""Bytes copied at once."""

_FLAT_TOWER = re.compile(
    r"(?<=\bvision_tower\.)"
    r"(?=(embeddings\.(class|patch|position)_embedding|encoder\.layers|pre_layrnorm|post_layernorm)\b)"
)
"""Where transformers 5 leaves out a part of the names of CLIP's tensors."""

_FUSED = re.compile(r"\blayers\.\d+\.mlp\.gate_up_proj\.(weight|bias)$")
"""Gate and up projection of a dense MLP in one matrix (Phi-3, GLM-4V)."""


def stored_name(name: str) -> str:
    """The hub's name of a tensor in a model with a CLIP or SigLIP tower, which transformers 4 and 5 both know."""
    return _FLAT_TOWER.sub("vision_model.", name)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One tensor of a file."""

    name: str
    stored: str
    """The name it is written under, see ``stored_name``."""
    dtype: str
    """As the format spells it, e.g. ``BF16``."""
    shape: tuple[int, ...]
    begin: int
    """Offset of its first byte in the file."""
    num_bytes: int
    fused: str | None = None
    """The tensor of the file that this is half of (``gate_up_proj``); both halves have its ``stored`` name."""

    @property
    def original(self) -> str:
        """The name of the file's tensor."""
        return self.fused or self.name

    def halves(self) -> tuple["Entry", ...]:
        """A fused gate and up projection as two tensors, the gate's rows before the up's; any other as it is."""
        if not _FUSED.search(self.name) or self.shape[0] % 2:
            return (self,)
        shape, size = (self.shape[0] // 2, *self.shape[1:]), self.num_bytes // 2
        return tuple(
            replace(
                self, name=self.name.replace("gate_up", part), shape=shape, begin=self.begin + index * size,
                num_bytes=size, fused=self.name,
            )
            for index, part in enumerate(("gate", "up"))
        )  # fmt: skip


class Change(Protocol):
    """What happens to one tensor while its file is copied; its dtype stays."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape a tensor of ``shape`` has afterwards."""

    def apply(self, tensor: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Changes a tensor given as bytes, [*shape, bytes of an element]."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The slices of ``axis`` that ``keep`` denies are removed, or zeroed."""

    keep: NDArray[np.bool_]
    """[size of the axis]."""
    axis: int
    zero: bool = False
    """Whether denied slices stay as zeros instead of leaving."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape a tensor of ``shape`` has afterwards."""
        if self.zero:
            return shape
        return (*shape[: self.axis], int(self.keep.sum()), *shape[self.axis + 1 :])

    def apply(self, tensor: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cuts a tensor given as bytes, [*shape, bytes of an element]; zero is all bits 0 in every dtype."""
        if not self.zero:
            return np.compress(self.keep, tensor, axis=self.axis)
        result = tensor.copy()
        result[(slice(None),) * self.axis + (~self.keep,)] = 0
        return result


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The rows or columns of a matrix that ``keep`` names, with other numbers in them."""

    keep: NDArray[np.bool_]
    """[rows] or [columns]."""
    axis: int = 1
    """0 for rows, 1 for columns."""
    dtype: str
    """Of the tensor, one of ``FLOATS``."""
    fit: Callable[[Tensor], Tensor]
    """From the whole tensor [rows, columns] to what is written."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape a tensor of ``shape`` has afterwards."""
        kept = int(self.keep.sum())
        return (shape[0], kept) if self.axis else (kept, shape[1])

    def apply(self, tensor: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Fits a tensor given as bytes, [*shape, bytes of an element]."""
        kind = FLOATS[self.dtype]
        fitted = self.fit(torch.from_numpy(tensor.copy()).view(kind)[..., 0]).to(kind).contiguous()
        assert tuple(fitted.shape) == self.shape(tensor.shape[:2])
        content: NDArray[np.uint8] = fitted.view(torch.uint8).numpy()
        return content


@dataclass(frozen=True, kw_only=True)
class Values:
    """One tensor in the format's terms, to be written in place of another or beside the others."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes

    @classmethod
    def of(cls, tensor: Tensor, dtype: str) -> "Values":
        """A tensor in the precision ``dtype``, one of ``FLOATS``."""
        content = tensor.detach().cpu().to(FLOATS[dtype]).contiguous().view(torch.uint8).numpy().tobytes()
        return cls(dtype=dtype, shape=tuple(tensor.shape), content=content)


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One safetensors file: where its tensors are, in file order."""

    path: Path
    entries: tuple[Entry, ...]
    metadata: dict[str, str] | None

    @property
    def num_bytes(self) -> int:
        """Bytes of its tensors, without the header."""
        return sum(entry.num_bytes for entry in self.entries)


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What the header of a safetensors file says of a tensor."""

    dtype: str
    shape: tuple[Natural, ...]
    data_offsets: tuple[Large, Large]


def read_shard(path: Path, *, hub_names: bool = True) -> Shard:
    """Reads the header of a safetensors file.

    Args:
        path: the file.
        hub_names: whether its model has a tower whose tensors are written under ``stored_name``.

    Raises:
        CheckpointError: if the file is missing, cut off or not safetensors.
        RunError: if we wrote it and it is no longer what we wrote.
    """
    check_whole(path)
    try:
        with safe_open(path, framework="numpy"):  # checks header, offsets and length
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length).decode("utf-8")
    except (OSError, SafetensorError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({cause(error)}): missing or cut off; download the model again"
        ) from error
    header = sound_json(text, where=str(path), remedy=REMEDY, error=CheckpointError)
    told = header.pop("__metadata__", None)
    metadata = (
        None
        if told is None
        else check_value(
            told, dict[str, str], where=f"{path}, metadata", remedy=REMEDY, error=CheckpointError
        )
    )
    tensors = check_value(header, dict[str, _Stored], where=str(path), remedy=REMEDY, error=CheckpointError)
    entries = [
        half
        for name, info in tensors.items()
        for half in _entry(
            name, stored_name(name) if hub_names else name, info, data_begin=8 + length
        ).halves()
    ]
    return Shard(path=path, entries=tuple(sorted(entries, key=lambda entry: entry.begin)), metadata=metadata)


def _entry(name: str, stored: str, info: _Stored, data_begin: int) -> Entry:
    begin, end = info.data_offsets
    return Entry(
        name=name,
        stored=stored,
        dtype=info.dtype,
        shape=info.shape,
        begin=data_begin + begin,
        num_bytes=end - begin,
    )


Place = tuple[Shard, Entry]
"""Where a tensor lies in a checkpoint."""


def read_tensor(place: Place) -> Tensor:
    """One tensor of a checkpoint."""
    shard, entry = place
    with safe_open(shard.path, framework="pt") as file:
        stored: Tensor = file.get_tensor(entry.original)
    if entry.fused is None:
        return stored
    gate, up = stored.chunk(2)
    return gate if entry.name.replace("gate", "gate_up") == entry.fused else up


def write_shard(
    shard: Shard,
    target: Path,
    changes: Mapping[str, Change],
    values: Mapping[str, Values] | None = None,
    dropped: Collection[str] = (),
) -> int:
    """Copies a file with the named tensors changed; order, dtypes and metadata stay, and names are those ``stored``.

    Args:
        shard: the file to copy.
        target: the file to write.
        changes: what happens to tensors, by name.
        values: further tensors by name, after the others; those of a name that the file has are left out of it.
        dropped: names of tensors to leave out.

    Returns:
        Bytes of the tensors written, measured on the file, without the header.
    """
    values = _whole(shard, values or {})
    kept = _kept(shard, values, dropped)
    header = _header(shard.metadata, kept, _shapes(kept, changes), values)
    room = np.empty(max((e.num_bytes for e in kept if e.name in changes), default=0), dtype=np.uint8)
    with shard.path.open("rb") as source, target.open("wb") as file:
        file.write(header)
        for entry in kept:
            if entry.name in changes:
                file.write(np.ascontiguousarray(changes[entry.name].apply(_read(source, entry, room))).data)
            else:
                _copy(source, file, entry)
        for value in values.values():
            file.write(value.content)
    return target.stat().st_size - len(header)


def changed_bytes(
    shard: Shard, changes: Mapping[str, Change], values: Mapping[str, Values], dropped: Collection[str]
) -> int:
    """Bytes of tensors that ``write_shard`` is going to write.

    Args:
        shard: the file to copy.
        changes: as for ``write_shard``.
        values: as for ``write_shard``.
        dropped: as for ``write_shard``.
    """
    values = _whole(shard, values)
    kept = _kept(shard, values, dropped)
    shapes = _shapes(kept, changes)
    copied = sum(_scaled(entry, shapes[entry.name]) for entry in kept)
    return copied + sum(len(value.content) for value in values.values())


def _whole(shard: Shard, values: Mapping[str, Values]) -> dict[str, Values]:
    """New values, those of the halves of a fused tensor put together; a half without one keeps its own."""
    fused: dict[str, list[Entry]] = {}
    for entry in shard.entries:
        if entry.fused is not None:
            fused.setdefault(entry.fused, []).append(entry)
    whole = dict(values)
    for name, halves in fused.items():
        if any(half.name in values for half in halves):
            parts = [
                whole.pop(half.name)
                if half.name in whole
                else Values.of(read_tensor((shard, half)), half.dtype)
                for half in halves
            ]
            rows = sum(part.shape[0] for part in parts)
            whole[name] = Values(
                dtype=parts[0].dtype,
                shape=(rows, *parts[0].shape[1:]),
                content=b"".join(part.content for part in parts),
            )
    return whole


def _kept(shard: Shard, values: Mapping[str, Values], dropped: Collection[str]) -> list[Entry]:
    return [
        entry
        for entry in shard.entries
        if not {entry.name, entry.original} & values.keys() and entry.name not in dropped
    ]


def _shapes(kept: Sequence[Entry], changes: Mapping[str, Change]) -> dict[str, tuple[int, ...]]:
    """Shapes after the changes, by name."""
    return {e.name: changes[e.name].shape(e.shape) if e.name in changes else e.shape for e in kept}


def _header(
    metadata: dict[str, str] | None,
    entries: Sequence[Entry],
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, Values],
) -> bytes:
    """The header's bytes, padded so that the tensors begin at a multiple of eight; halves are one tensor again."""
    content: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    tensors = [(e.stored, e.dtype, shapes[e.name], _scaled(e, shapes[e.name])) for e in entries]
    tensors += [(name, value.dtype, value.shape, len(value.content)) for name, value in values.items()]
    offset = 0
    for name, dtype, shape, size in tensors:
        told = content.setdefault(
            name, {"dtype": dtype, "shape": [0, *shape[1:]], "data_offsets": [offset, 0]}
        )
        told["shape"] = [told["shape"][0] + shape[0], *shape[1:]] if shape else []
        offset += size
        told["data_offsets"][1] = offset
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _scaled(entry: Entry, shape: tuple[int, ...]) -> int:
    """Bytes of the entry's tensor in another shape."""
    return entry.num_bytes * prod(shape) // max(1, prod(entry.shape))


def _read(source: BufferedReader, entry: Entry, room: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The tensor as bytes, [*shape, bytes of an element], in memory that the next one takes again.

    Args:
        source: the file.
        entry: the tensor.
        room: at least as many bytes as it has: fresh memory for each would cost more than reading it.
    """
    source.seek(entry.begin)
    found = room[: entry.num_bytes]
    read = source.readinto(found.data)
    assert read == entry.num_bytes, f"{source.name} became shorter while it was read"
    return found.reshape(*entry.shape, entry.num_bytes // max(1, prod(entry.shape)))


def _copy(source: BufferedReader, file: BufferedWriter, entry: Entry) -> None:
    source.seek(entry.begin)
    left = entry.num_bytes
    while left:
        chunk = source.read(min(left, _CHUNK))
        assert chunk, f"{source.name} became shorter while it was read"
        file.write(chunk)
        left -= len(chunk)
