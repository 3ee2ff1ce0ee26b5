"""What of the policy and its training may be switched; ``paper`` is the literal reading of HiPP-Prune (no torch)."""

from typing import Literal

Action = Literal["hierarchical", "flat"]
"""Eq. 7. ``hierarchical`` (the paper's): a budget and an allocation of it; ``flat``: every ratio on its own, then
projected to the budget interval."""

VisualState = Literal["on", "off", "shuffled"]
"""What the policy sees of the visual sensitivity (Eq. 6): each block's own, nothing, or another block's."""

AdvantageKind = Literal["leave-pair-out", "leave-one-out", "paper"]
"""Eq. 17. ``paper`` divides by the group's std; the others subtract a baseline independent of the plan."""

GateKind = Literal["positive", "all", "off"]
"""Which advantages the stability gate scales (Eq. 15): positive ones, all (the paper's), none."""
