"""Second moments of the inputs of gate/up (x) and down (a), image and text tokens apart: what Eq. 10 weighs.

In LLaVA about 90% of the tokens are image tokens, so a plain norm ‖X_j‖ would hardly see the text. The two
modalities are kept apart here and mixed when they are read, by a weight of the reader's choice.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hipp_prune.errors import InputError
from hipp_prune.models.adapter import Batch, Block

_TOKENS_AT_ONCE = 1024
"""Tokens converted to float64 together: bounds the memory of a hook at 8 KiB a neuron."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Sums over tokens of one projection's input x, axis 0: image tokens, text tokens; all float64.

    Sums (and a maximum), so that batches and workers add up: see ``merge``.
    """

    count: Tensor
    """Tokens seen, [2]."""
    total: Tensor
    """Σ x, [2, D]."""
    square: Tensor
    """Σ x², [2, D]."""
    maximum: Tensor
    """max |x|, [2, D]; 0 where no token was seen."""

    @classmethod
    def of(cls, values: Tensor, image: Tensor, text: Tensor) -> "Moments":
        """Moments of one batch.

        Args:
            values: the projection's input, [B, T, D].
            image: True at image tokens, bool [B, T].
            text: True at text tokens, bool [B, T]; a token in neither mask (padding) counts nowhere.
        """
        parts = [_sums(values[mask]) for mask in (image, text)]
        count, total, square, maximum = (torch.stack(sums) for sums in zip(*parts, strict=True))
        return cls(count=count, total=total, square=square, maximum=maximum)

    @classmethod
    def empty(cls, width: int) -> "Moments":
        """The moments of no token, zeros for every one of ``width`` channels."""
        zeros = torch.zeros(2, width, dtype=torch.float64)
        return cls(count=zeros[:, 0], total=zeros, square=zeros, maximum=zeros)

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets of tokens; order and grouping do not matter, up to rounding."""
        return Moments(
            count=self.count + other.count,
            total=self.total + other.total,
            square=self.square + other.square,
            maximum=torch.maximum(self.maximum, other.maximum),
        )

    def to(self, device: torch.device | str) -> "Moments":
        """The same moments on another device."""
        return Moments(
            count=self.count.to(device),
            total=self.total.to(device),
            square=self.square.to(device),
            maximum=self.maximum.to(device),
        )

    def mean(self, image_weight: float | None = 0.5) -> Tensor:
        """Mixed mean w · E_img[x] + (1 − w) · E_txt[x], [D]; weights and errors as for ``rms``."""
        return self._mix(self.total, image_weight)

    def rms(self, image_weight: float | None = 0.5) -> Tensor:
        """√(w · E_img[x²] + (1 − w) · E_txt[x²]), [D].

        Args:
            image_weight: w in [0, 1]; a modality without a token leaves all the weight to the other. None counts
                every token alike.

        Raises:
            InputError: if w is outside [0, 1], or all of it is on a modality that no token belongs to.
        """
        return self._mix(self.square, image_weight).sqrt()

    def _mix(self, sums: Tensor, image_weight: float | None) -> Tensor:
        means = sums / self.count.clamp(min=1)[:, None]
        return modality_weights(self.count, image_weight).to(sums) @ means


def modality_weights(count: Tensor, image_weight: float | None) -> Tensor:
    """What the mean over image tokens and the mean over text tokens weigh in a common mean, [2]; see ``Moments.rms``.

    Args:
        count: image and text tokens, [2].
        image_weight: w in [0, 1], None to count every token alike.

    Raises:
        InputError: if w is outside [0, 1], or all of it is on a modality that no token belongs to.
    """
    if image_weight is None:
        image_weight = float(count[0] / count.sum().clamp(min=1))
    if not 0.0 <= image_weight <= 1.0:
        raise InputError(f"the image weight must lie in [0, 1], got {image_weight:g}; try 0.5")
    weights = count.new_tensor([image_weight, 1.0 - image_weight]) * (count > 0)
    if not weights.any():
        raise InputError(
            f"an image weight of {image_weight:g} leaves nothing to average, since calibration saw "
            f"{int(count[0])} image and {int(count[1])} text tokens; try 0.5"
        )
    return weights / weights.sum()


def _sums(values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Count [], Σ x, Σ x² and max |x| [D] over tokens ``values`` [N, D], in float64."""
    total = values.new_zeros(values.shape[1], dtype=torch.float64)
    square, maximum = torch.zeros_like(total), torch.zeros_like(total)
    for start in range(0, len(values), _TOKENS_AT_ONCE):
        chunk = values[start : start + _TOKENS_AT_ONCE]
        exact = chunk.to(torch.float64, copy=True)
        ones = exact.new_ones(len(exact))
        maximum = torch.maximum(maximum, chunk.abs().amax(0))
        total += ones @ exact  # a product with ones is 3 times as fast as sum(0) on a CPU
        square += ones @ exact.square_()
    return torch.full_like(total[0], len(values)), total, square, maximum


@dataclass
class RecordedMoments:
    """What ``record_moments`` saw, by block index, filled while the forward pass runs."""

    inputs: dict[int, Moments] = field(default_factory=dict)
    """Input x of gate and up."""
    neurons: dict[int, Moments] = field(default_factory=dict)
    """Input a of down: the neurons' activations."""


@contextmanager
def record_moments(blocks: Sequence[Block], batch: Batch) -> Iterator[RecordedMoments]:
    """Records the moments of every block during the forward passes of ``batch`` inside the context.

    Forward pre-hooks on gate and down; they are removed on every way out. Image markers are text here: they
    are embedded like words, and only Eq. 5 excludes them.
    """
    present = batch.attention_mask.bool()
    image, text = batch.image_mask & present, ~batch.image_mask & present
    recorded = RecordedMoments()
    with ExitStack() as hooks:
        for index, block in enumerate(blocks):
            for projection, store in ((block.gate, recorded.inputs), (block.down, recorded.neurons)):
                handle = projection.register_forward_pre_hook(_hook(store, index, image, text))
                hooks.callback(handle.remove)
        yield recorded


def _hook(
    store: dict[int, Moments], index: int, image: Tensor, text: Tensor
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def record(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        values = arguments[0].detach()
        store[index] = Moments.of(values, image.to(values.device), text.to(values.device))

    return record
