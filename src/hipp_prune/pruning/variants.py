"""The names of what pruning can be told (no torch, since the command line lists them)."""

from typing import Literal

Compensation = Literal["none", "bias", "ridge"]
"""How the neurons that stay answer for those that leave: not at all; the mean of what leaves becomes a bias of the down
projection (FLAP's); or the down projection is fitted anew by least squares, with no new tensor."""

CompensationChoice = Literal["auto", "none", "bias", "ridge"]
"""A mode by name, or the one that fits what is at hand."""
