"""The preference-conditioned policy: one shared trunk over units, a budget head and an allocation head (Eq. 7).

Shapes: G actions, U units, F descriptors a unit. A raw action z has 1 + U entries: z_u, then z_a.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hipp_prune.plans.arrays import Float

NUM_CONTEXT = 5
"""Entries of the conditioning vector: s_min, s_max, λ_rob, λ_util, λ_comp."""

_LOG_STD_RANGE = (-3.0, 1.0)
"""Keeps σ in [0.05, 2.7]: below, exploration dies for good; above, plans are noise."""


@dataclass(frozen=True)
class PlanDistribution:
    """Independent Gaussians over raw actions z of Z entries; see ``action.decode_actions`` for what they mean."""

    mean: Float[Tensor, "groups entries"]
    """[G, Z]: Z = 1 + U, the budget first, or U where actions are flat."""
    log_std: Float[Tensor, "groups entries"]
    """log σ of every entry, [G, Z]."""
    flat: bool = False
    """Whether z has an entry a unit and none for the budget."""

    def flattened(self) -> "PlanDistribution":
        """The flat distribution with the same outputs: what moved the budget moves all units alike."""
        return PlanDistribution(self.mean[:, :1] + self.mean[:, 1:], self.log_std[:, 1:], flat=True)

    def sample(self, noise: Float[Tensor, "groups entries"]) -> Float[Tensor, "groups entries"]:
        """z = μ + σ ε for standard normal ``noise`` [G, Z]; give ±ε for antithetic pairs."""
        return self.mean + self.log_std.exp() * noise

    def log_prob(self, z: Float[Tensor, "groups entries"]) -> Float[Tensor, "groups"]:
        """log π(z), [G]. On raw z: the Jacobian of (u, a) does not depend on the policy's parameters."""
        scaled = (z - self.mean) / self.log_std.exp()
        return (-0.5 * scaled**2 - self.log_std - 0.5 * math.log(2 * math.pi)).sum(dim=-1)

    def entropies(self) -> tuple[Float[Tensor, "groups"], Float[Tensor, "groups"]]:
        """(H_u, H_a): entropies of the budget (0 if flat) and of the units (a mean over U entries), each [G]."""
        entropy = self.log_std + 0.5 * math.log(2 * math.pi * math.e)
        if self.flat:
            return torch.zeros_like(entropy[:, 0]), entropy.mean(dim=-1)
        return entropy[:, 0], entropy[:, 1:].mean(dim=-1)

    def kl_to(self, old: "PlanDistribution") -> Float[Tensor, "groups"]:
        """KL(self ‖ old), [G]."""
        ratio = (2 * (self.log_std - old.log_std)).exp()
        shift = ((self.mean - old.mean) / old.log_std.exp()) ** 2
        return 0.5 * (ratio + shift - 1 - 2 * (self.log_std - old.log_std)).sum(dim=-1)

    def detach(self) -> "PlanDistribution":
        """The same distribution, cut off from the graph: π_old."""
        return replace(self, mean=self.mean.detach(), log_std=self.log_std.detach())


class PlanPolicy(nn.Module):
    """π_θ(z | S, λ): descriptors of all units and one context in, one distribution over whole plans out.

    A small transformer without positional encoding: permuting the units permutes the allocation (the position
    of a block is one of its descriptors). Both heads start at zero, so an untrained policy means uniform plans
    in the middle of the budget.

    Args:
        num_features: F.
        width: of the trunk.
        depth: transformer layers of the trunk.
        heads: attention heads of each.
        log_std: initial log σ of every entry of z.
    """

    def __init__(
        self, num_features: int, *, width: int = 64, depth: int = 2, heads: int = 4, log_std: float = -0.7
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(num_features + NUM_CONTEXT, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, dim_feedforward=2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.trunk = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.budget_head = nn.Linear(width + NUM_CONTEXT, 2)
        self.allocation_head = nn.Linear(width, 2)
        for head in (self.budget_head, self.allocation_head):
            nn.init.zeros_(head.weight)
            with torch.no_grad():
                head.bias.copy_(torch.tensor([0.0, log_std]))

    def forward(
        self, state: Float[Tensor, "units features"], context: Float[Tensor, "groups 5"]
    ) -> PlanDistribution:
        """The distribution of each of G actions.

        Args:
            state: standardised descriptors, [U, F].
            context: s_min, s_max, λ of each action, [G, 5].
        """
        units = state.unsqueeze(0).expand(len(context), -1, -1)
        conditions = context.unsqueeze(1).expand(-1, units.shape[1], -1)
        hidden = self.norm(self.trunk(self.embed(torch.cat([units, conditions], dim=2))))
        budget = self.budget_head(torch.cat([hidden.mean(dim=1), context], dim=1))
        allocation = self.allocation_head(hidden)
        mean_a = allocation[..., 0] - allocation[..., 0].mean(dim=1, keepdim=True)
        mean = torch.cat([budget[:, :1], mean_a], dim=1)
        log_std = torch.cat([budget[:, 1:], allocation[..., 1]], dim=1).clamp(*_LOG_STD_RANGE)
        return PlanDistribution(mean, log_std)
