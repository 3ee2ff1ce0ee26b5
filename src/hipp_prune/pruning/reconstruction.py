"""Reconstruction: gate, up and down of one pruned block, fitted by gradient to what the dense block left.

Least squares changes W_down alone, which a block's output is linear in. What it cannot say is said here:

    min over (G, U, D) of Σ_t ω_t ‖(h_t − r̃_t) − D (act(G x̃_t) ⊙ U x̃_t)‖²                    (reconstruction)

with the target and the weights of ``pruning.sequential``, x̃ the states that the MLP reads behind all earlier blocks
pruned and fitted. It begins where least squares ended, draws tokens by their weight ω, takes Adam's steps until its
time is over, and returns what served held-out tokens best: what least squares made, if nothing served them better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor
from torch.func import functional_call

from hipp_prune.models.structure import Block
from hipp_prune.plans.arrays import Float

_BATCH = 512
"""Tokens a step."""
_RATE = 3e-3
"""Adam's first learning rate, as a fraction of each matrix's root mean square; it falls along a cosine to zero."""
_LOOKS = 8
"""How often held-out tokens are asked."""
_CHUNK = 4096
"""Held-out tokens a forward pass."""


@dataclass(frozen=True)
class PrunedMlp:
    """The weights of a block's neurons that stay, float32."""

    down: Float[Tensor, "hidden kept"]
    gate: Float[Tensor, "kept hidden"] | None = None
    """None where it is the dense block's."""
    up: Float[Tensor, "kept hidden"] | None = None
    """None where it is the dense block's, as gate."""

    def cpu(self) -> "PrunedMlp":
        """The same in the machine's memory."""
        gate, up = (None if weight is None else weight.cpu() for weight in (self.gate, self.up))
        return PrunedMlp(down=self.down.cpu(), gate=gate, up=up)


def gates_and_ups(pruned: Sequence[PrunedMlp]) -> list[tuple[Tensor, Tensor]] | None:
    """Gate and up of every block, for whoever writes a checkpoint; None where nothing was reconstructed."""
    pairs = [(mlp.gate, mlp.up) for mlp in pruned if mlp.gate is not None and mlp.up is not None]
    assert len(pairs) in (0, len(pruned)), "a down projection that was fitted to another gate is of no use"
    return pairs or None


@dataclass(frozen=True)
class Tokens:
    """What a block is fitted to."""

    states: Float[Tensor, "tokens hidden"]
    """What its MLP reads."""
    targets: Float[Tensor, "tokens hidden"]
    """What its down projection is to give, its bias aside."""
    weights: Float[Tensor, "tokens"]
    """ω ≥ 0."""

    @classmethod
    def cat(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """The tokens of all parts, at least one."""
        return cls(
            torch.cat([part.states for part in parts]),
            torch.cat([part.targets for part in parts]),
            torch.cat([part.weights for part in parts]),
        )


@torch.enable_grad()
def reconstruct(
    block: Block,
    keep: Tensor,
    down: Float[Tensor, "hidden kept"],
    fit: Tokens,
    held: Tokens,
    *,
    seconds: float,
) -> PrunedMlp:
    """The block's weights after so much time; those it began with where held-out tokens prefer them.

    Args:
        block: the dense block.
        keep: True where a neuron stays, bool [N]; where none does, nothing can be fitted.
        down: W'_P that least squares found.
        fit: tokens that steps are taken on.
        held: tokens that judge, at least one.
        seconds: how long it may take, > 0.
    """
    start, look = perf_counter(), 1
    mlp = _Mlp(block, keep, down)
    best, least = mlp.weights(), mlp.error(held)
    if not keep.any():
        return best
    rates = [_RATE * float(weight.detach().square().mean().sqrt()) for weight in mlp.trained]
    optimizer = torch.optim.Adam(
        [{"params": [weight], "lr": rate} for weight, rate in zip(mlp.trained, rates, strict=True)]
    )
    generator = torch.Generator(fit.weights.device).manual_seed(0)
    while (spent := (perf_counter() - start) / seconds) < 1:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * _cosine(spent)
        rows = torch.multinomial(fit.weights, _BATCH, replacement=True, generator=generator)
        optimizer.zero_grad()
        loss = (fit.targets[rows].float() - mlp(fit.states[rows].float())).square().sum(1).mean()
        loss.backward()
        optimizer.step()
        if (perf_counter() - start) / seconds > look / _LOOKS:
            look += 1
            if (error := mlp.error(held)) < least:
                best, least = mlp.weights(), error
    return mlp.weights() if mlp.error(held) < least else best  # an error that is no number is not less


def _cosine(spent: float) -> float:
    """From 1 to 0 as ``spent`` goes from 0 to 1."""
    return 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * min(spent, 1.0)))))


class _Mlp:
    """A block's MLP with weights of its own."""

    def __init__(self, block: Block, keep: Tensor, down: Tensor) -> None:
        self._module = block.mlp
        names = {id(module): name for name, module in block.mlp.named_modules()}
        gate, up, last = (names[id(part)] for part in (block.gate, block.up, block.down))
        start = (block.gate.weight[keep], block.up.weight[keep], down)
        self.trained = [weight.detach().float().clone().requires_grad_() for weight in start]
        keys = (f"{part}.weight" for part in (gate, up, last))
        self._parameters = dict(zip(keys, self.trained, strict=True))
        for part, name in ((block.gate, gate), (block.up, up)):
            if part.bias is not None:
                self._parameters[f"{name}.bias"] = part.bias.detach()[keep].float()
        if block.down.bias is not None:
            self._parameters[f"{last}.bias"] = torch.zeros_like(block.down.bias, dtype=torch.float32)

    def __call__(self, states: Tensor) -> Tensor:
        """What down gives, its bias aside, for states [tokens, hidden]."""
        output: Tensor = functional_call(self._module, self._parameters, (states,))
        return output

    @torch.no_grad()
    def error(self, tokens: Tokens) -> float:
        """Σ ω ‖target − output‖²."""
        total = 0.0
        for start in range(0, len(tokens.weights), _CHUNK):
            part = slice(start, start + _CHUNK)
            missing = tokens.targets[part].float() - self(tokens.states[part].float())
            total += float((missing.square().sum(1) * tokens.weights[part]).sum())
        return total

    def weights(self) -> PrunedMlp:
        """As they are now."""
        gate, up, down = (weight.detach().clone() for weight in self.trained)
        return PrunedMlp(down=down, gate=gate, up=up)
