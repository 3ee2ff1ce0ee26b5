"""Gram matrices Σ a aᵀ of the input of down, for least squares (``pruning.compensation``): far larger than all else.

One of 11,008 neurons takes 485 MB in float32, and a model has dozens. So only the lower triangle is computed and kept,
in panels of rows, and the sums lie in a memory-mapped file, which is the run's own in the end: no second copy exists.
Image and text tokens are summed apart, as in ``Moments``, or weighed and summed together where the disk is short.

Some questions are *held out*: they are in no Gram matrix, and the ridge is chosen by them. A Gram matrix of theirs
would cost as much again; a few random signed sums of their tokens, y = Σ_t ±a_t, tell the error of any fit V just as
well, since E‖(W − V) y‖² = Σ_t ‖(W − V) a_t‖².
"""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from hipp_prune import distributed
from hipp_prune.calibration.activations import modality_weights
from hipp_prune.calibration.held_out import name_digest
from hipp_prune.errors import IncompleteRunError, InputError
from hipp_prune.files.manifest import check_whole
from hipp_prune.files.system import cause
from hipp_prune.files.writing import atomic_path
from hipp_prune.models.adapter import Batch, Block
from hipp_prune.questions.fingerprint import Origin
from hipp_prune.questions.question import Question

GRAMS_FORMAT = "hipp-prune gram matrices 1"
"""What a file of Gram matrices says it is."""

_PANEL = 512
"""Rows of a panel: a product of matrices each, and half a panel above the diagonal is all that is wasted."""
_SKETCH = 64
"""Random sums of the held-out tokens of each set."""
_DOUBLE = 2**30
"""Up to so many bytes in all, sums are kept in float64; beyond, in float32, whose rounding over a hundred batches
(1e-5 of an entry) stays below the smallest ridge."""
_SENT = 2**25
"""Numbers that travel between workers at once."""


@dataclass(frozen=True, kw_only=True)
class GramLayout:
    """How the Gram matrices of a model are kept."""

    widths: tuple[int, ...]
    """Neurons of each block."""
    weights: tuple[float, float] | None = None
    """What an image and a text token weigh in one common sum; None keeps the two apart."""

    @property
    def num_sets(self) -> int:
        """Sums a block: of image and of text tokens, or of both."""
        return 2 if self.weights is None else 1

    @property
    def dtype(self) -> torch.dtype:
        """Type of the sums: float64 as long as they are small, else float32."""
        return torch.float64 if 8 * self._numbers <= _DOUBLE else torch.float32

    @property
    def num_bytes(self) -> int:
        """Bytes of the sums."""
        return self._numbers * self.dtype.itemsize

    @property
    def _numbers(self) -> int:
        return self.num_sets * sum(_packed(width) + _SKETCH * width for width in self.widths)

    def shapes(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Names, kinds and shapes of the tensors; what is in float64 comes first, so that all are aligned."""
        sets, exact = self.num_sets, torch.float64
        shapes: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
            "ridge": (exact, (1,)), "count": (exact, (sets,)), "held.count": (exact, (sets,))
        }  # fmt: skip
        for block, width in enumerate(self.widths):
            shapes[f"gram.{block}"] = self.dtype, (sets, _packed(width))
            shapes[f"held.{block}"] = self.dtype, (sets, _SKETCH, width)
        return shapes

    def __str__(self) -> str:
        widths = sorted(set(self.widths))
        neurons = "–".join(
            f"{width:,}" for width in (widths if len(widths) == 1 else widths[:: len(widths) - 1])
        )
        how = "image and text tokens apart" if self.weights is None else "image and text tokens mixed"
        size = f"{self.num_bytes / 1e9:.1f} GB" if self.num_bytes >= 1e8 else f"{self.num_bytes / 1e6:.1f} MB"
        return f"Gram matrices: {len(self.widths)} blocks of {neurons} neurons, {how}, {size} on disk"


def fit_layout(widths: Sequence[int], limit: float) -> GramLayout | None:
    """The layout that keeps image and text tokens apart; None if they must be mixed to stay within ``limit`` bytes.

    Raises:
        InputError: if even that is too much.
    """
    apart, mixed = (GramLayout(widths=tuple(widths), weights=weights) for weights in (None, (1.0, 1.0)))
    if apart.num_bytes <= limit:
        return apart
    if mixed.num_bytes > limit:
        raise InputError(
            f"{mixed}, more than the {limit / 1e9:g} GB allowed; raise --gram-disk, or calibrate with "
            "--compensation none"
        )
    return None


def token_weights(batch: Batch, image_weight: float = 0.5) -> tuple[float, float]:
    """What an image and a text token weigh in a common sum, so that each modality has its share in ``batch``."""
    image, text = (float(mask.sum()) for mask in _modalities(batch))
    both = image + text
    if not image or not text:
        return 1.0, 1.0
    return image_weight * both / image, (1 - image_weight) * both / text


class Grams:
    """The Gram matrices of a model's blocks: sums over tokens, so that batches and workers add up.

    Args:
        layout: of the tensors.
        tensors: by the names of ``GramLayout.shapes``; zeros at the start, in memory or mapped from a file.
    """

    def __init__(self, layout: GramLayout, tensors: Mapping[str, Tensor]) -> None:
        self.layout = layout
        self._tensors = tensors

    @classmethod
    def in_memory(cls, layout: GramLayout) -> "Grams":
        """No token seen."""
        return cls(
            layout, {name: torch.zeros(shape, dtype=kind) for name, (kind, shape) in layout.shapes().items()}
        )

    @property
    def count(self) -> Tensor:
        """Tokens seen by each set (weighed, where sets are mixed), float64 [sets]."""
        return self._tensors["count"]

    def counts(self) -> tuple[Tensor, Tensor]:
        """``count``, and that of the held-out tokens."""
        return self.count, self._tensors["held.count"]

    @property
    def factor(self) -> float:
        """The ridge as a multiple of the mean diagonal, as the held-out tokens have it."""
        return float(self._tensors["ridge"])

    @factor.setter
    def factor(self, value: float) -> None:
        self._tensors["ridge"].fill_(value)

    def gram(self, block: int, image_weight: float | None = 0.5) -> Tensor:
        """G = w · E_img[a aᵀ] + (1 − w) · E_txt[a aᵀ] of a block, [N, N]; mixed sets have had their weights.

        Args:
            block: its index.
            image_weight: as for ``Moments.rms``.

        Raises:
            InputError: as there.
        """
        sums, width = self._tensors[f"gram.{block}"], self.layout.widths[block]
        dense = sums.new_zeros(width, width)
        for share, one_set in zip(self._shares("count", image_weight), sums, strict=True):
            for rows, panel in _panels(one_set, width):
                dense[rows, : rows.stop].add_(panel, alpha=share)
        for rows in _rows(width):
            dense[: rows.start, rows] = dense[rows, : rows.start].T
            corner = dense[rows, rows]
            dense[rows, rows] = corner.tril() + corner.tril(-1).T
        return dense

    def held_out(self, block: int, image_weight: float | None = 0.5) -> Tensor:
        """Inputs whose mean squared error, under any fit, is that of the held-out tokens, [inputs, N]; maybe none."""
        sums = self._tensors[f"held.{block}"]
        if not self._tensors["held.count"].any():
            return sums[0, :0]
        shares = self._shares("held.count", image_weight)
        return torch.cat([one_set * share**0.5 for share, one_set in zip(shares, sums, strict=True)])

    @contextmanager
    def record(
        self, blocks: Sequence[Block], batch: Batch, questions: Sequence[Question], held_out: Collection[str]
    ) -> Iterator[None]:
        """Adds the tokens of ``batch`` while the context lasts, by pre-hooks on down; see ``record_moments``.

        Args:
            blocks: of the model.
            batch: which is passed through it once.
            questions: in the order of the batch's rows.
            held_out: groups whose questions are held out.
        """
        weights = _set_weights(batch, self.layout.weights)
        held = torch.tensor([question.group in held_out for question in questions], device=weights.device)
        names = [f"{question.benchmark}/{question.id}" for question in questions]
        fitted, kept_back = weights * ~held[:, None], weights * held[:, None]
        with self.record_weighed(blocks, fitted, kept_back, draw_signs(batch, names, held)):
            yield

    @contextmanager
    def record_weighed(
        self, blocks: Sequence[Block], fitted: Tensor, kept_back: Tensor, signs: Tensor
    ) -> Iterator[None]:
        """Adds tokens while the context lasts.

        Args:
            blocks: of the model.
            fitted: what each token weighs in the matrix of each set, float64 [sets, B, T].
            kept_back: what it weighs among the held-out tokens of the set, likewise.
            signs: of the held-out tokens, see ``draw_signs``.
        """
        self._tensors["count"].add_(fitted.sum((1, 2)).cpu())
        self._tensors["held.count"].add_(kept_back.sum((1, 2)).cpu())
        with ExitStack() as hooks:
            for index, block in enumerate(blocks):
                add = self._hook(index, fitted, kept_back, signs)
                hooks.callback(block.down.register_forward_pre_hook(add).remove)
            yield

    def _hook(
        self, block: int, fitted: Tensor, held: Tensor, signs: Tensor
    ) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            values = arguments[0].detach()
            for index in range(self.layout.num_sets):
                tokens = _weighed(values, fitted[index])[0].T.contiguous()
                with products_of(values.dtype):
                    for rows, panel in _panels(self._tensors[f"gram.{block}"][index], values.shape[-1]):
                        panel.add_((tokens[rows] @ tokens[: rows.stop].T).cpu())
                tokens, present = _weighed(values, held[index])
                own = signs.to(values.device)[:, present]
                self._tensors[f"held.{block}"][index].add_((own @ tokens).cpu())

        return add

    def over_workers(self) -> None:
        """Adds up what all workers saw, at every worker."""
        for name, tensor in self._tensors.items():
            if name == "ridge":
                continue
            for part in tensor.view(-1).split(_SENT):
                part.copy_(distributed.all_reduce([part])[0])

    def _shares(self, counted: str, image_weight: float | None) -> list[float]:
        """Each set's weight, by the token."""
        count = self._tensors[counted]
        weights = torch.ones_like(count) if len(count) == 1 else modality_weights(count, image_weight)
        shares: list[float] = (weights / count.clamp(min=1)).tolist()
        return shares

    @classmethod
    def load(cls, path: Path) -> "Grams":
        """The Gram matrices of a run, mapped: nothing is read before it is needed.

        Raises:
            IncompleteRunError: if the file is cut off or something else.
            RunError: if it is no longer what we wrote.
        """
        check_whole(path)
        remedy = "run `hipp-prune calibrate` again"
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise IncompleteRunError(
                f"{path} is cut off or no Gram matrices ({cause(error)}); {remedy}"
            ) from error
        shapes = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
        held = [f"held.{block}" for block in range(len(tensors))]
        widths = [shapes[name][1][-1:] for name in held if name in shapes]
        mixed = (1.0, 1.0) if shapes.get("count", ((), ()))[1] == (1,) else None
        layout = GramLayout(widths=tuple(width for (width,) in filter(None, widths)), weights=mixed)
        if metadata.get("format") != GRAMS_FORMAT or shapes != layout.shapes():
            raise IncompleteRunError(f"{path}: expected a file that says {GRAMS_FORMAT!r}; {remedy}")
        return cls(layout, tensors)


@contextmanager
def gather_grams(path: Path, layout: GramLayout, origin: Origin) -> Iterator[Grams]:
    """Gram matrices to be filled inside the context, whose file then lies at ``path``, whole or not at all.

    Of several workers the first one writes; the others sum up in a file that is gone afterwards.

    Raises:
        RunError: if the disk is full, before anything is computed.
    """
    header = _header(layout, {"format": GRAMS_FORMAT, **asdict(origin)})
    if not distributed.is_first():
        with TemporaryFile(dir=path.parent) as file:
            yield Grams(layout, _mapped(file, header, layout))
        return
    with atomic_path(path) as temporary, temporary.open("w+b") as file:
        yield Grams(layout, _mapped(file, header, layout))


def _mapped(file: IO[bytes], header: bytes, layout: GramLayout) -> dict[str, Tensor]:
    """A file of zeros behind the header, with all its bytes on the disk, as tensors."""
    shapes = layout.shapes()
    size = sum(kind.itemsize * prod(shape) for kind, shape in shapes.values())
    file.write(header)
    file.flush()
    if hasattr(os, "posix_fallocate"):  # a full disk is an error now, instead of a signal at some later write
        os.posix_fallocate(file.fileno(), 0, len(header) + size)
    content = torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="r+", offset=len(header), shape=(size,)))
    tensors, begin = {}, 0
    for name, (kind, shape) in shapes.items():
        end = begin + kind.itemsize * prod(shape)
        tensors[name] = content[begin:end].view(kind).view(shape)
        begin = end
    return tensors


def _header(layout: GramLayout, metadata: dict[str, str]) -> bytes:
    """The beginning of a safetensors file, padded to a multiple of eight."""
    content: dict[str, object] = {"__metadata__": metadata}
    begin = 0
    for name, (kind, shape) in layout.shapes().items():
        end = begin + kind.itemsize * prod(shape)
        content[name] = {"dtype": f"F{8 * kind.itemsize}", "shape": shape, "data_offsets": (begin, end)}
        begin = end
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _rows(width: int) -> Iterator[slice]:
    for start in range(0, width, _PANEL):
        yield slice(start, min(start + _PANEL, width))


def _packed(width: int) -> int:
    """Numbers in a lower triangle of panels."""
    return sum((rows.stop - rows.start) * rows.stop for rows in _rows(width))


def _panels(flat: Tensor, width: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows of a lower triangle and, as a view, their entries up to the diagonal's column, [rows, rows.stop]."""
    begin = 0
    for rows in _rows(width):
        end = begin + (rows.stop - rows.start) * rows.stop
        yield rows, flat[begin:end].view(-1, rows.stop)
        begin = end


def _modalities(batch: Batch) -> tuple[Tensor, Tensor]:
    present = batch.attention_mask.bool()
    return batch.image_mask & present, ~batch.image_mask & present


def _set_weights(batch: Batch, weights: tuple[float, float] | None) -> Tensor:
    """What each token weighs in each set, float64 [sets, B, T]."""
    image, text = (mask.double() for mask in _modalities(batch))
    if weights is None:
        return torch.stack([image, text])
    return (image * weights[0] + text * weights[1])[None]


def _weighed(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """√weight · a of the tokens that weigh anything, float32 [tokens, N], and where they are, [B, T]."""
    present = (weights > 0).to(values.device)
    tokens = values[present].float()
    return tokens * weights.to(values.device)[present].sqrt()[:, None].float(), present


@contextmanager
def products_of(dtype: torch.dtype) -> Iterator[None]:
    """Factors no more precise than ``dtype``, summed in float32: twice as fast for activations of 16 bits."""
    before = torch.get_float32_matmul_precision()
    if dtype == torch.bfloat16:
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def draw_signs(batch: Batch, names: Sequence[str], held: Tensor) -> Tensor:
    """±1/√m for every token of held-out rows, float32 [m, B, T]: a row's follow from its name, not its batch."""
    signs = torch.zeros(_SKETCH, *batch.input_ids.shape)
    for row, name in enumerate(names):
        if held[row]:
            seed = int.from_bytes(name_digest(name)[:4], "big")
            length = int(batch.attention_mask[row].sum())
            drawn = torch.randint(0, 2, (length, _SKETCH), generator=torch.Generator().manual_seed(seed))
            signs[:, row, :length] = (2.0 * drawn.T - 1.0) / _SKETCH**0.5
    return signs
