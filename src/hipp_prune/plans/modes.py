"""How a plan is carried out, by name."""

from typing import Literal

from hipp_prune.errors import InputError

Compensation = Literal["none", "bias", "ridge", "sequential"]
"""How the neurons that stay answer for those that leave: not at all; the mean of what leaves becomes a bias of the down
projection (FLAP's); or the down projection is fitted anew by least squares, with no new tensor: every block as if all
others were whole, or block after block on what the pruned ones before it leave."""

CompensationChoice = Literal["auto", "none", "bias", "ridge", "sequential"]
"""A mode by name, or the one that fits what is at hand."""

SearchCompensation = Literal["none", "bias", "ridge"]
"""What a search can evaluate thousands of plans with: ``sequential`` is a pass over the model for each."""

SearchCompensationChoice = Literal["auto", "none", "bias", "ridge"]
"""One of these by name, or the one that fits what is at hand."""


def compensation_notes(
    mode: Compensation, image_weight: float | None, ridge_factor: float | None = None
) -> dict[str, object]:
    """What a plan's notes say of its compensation: nothing where there is none.

    Args:
        mode: how it is carried out.
        image_weight: of image tokens in what compensates.
        ridge_factor: of μ, once it is known.
    """
    if mode == "none":
        return {}
    ridge = {} if ridge_factor is None else {"ridge_factor": ridge_factor}
    return {"compensation": mode, "image_weight": image_weight, **ridge}


def check_reconstruction(minutes: float, mode: CompensationChoice) -> None:
    """Whether a plan that is carried out in this way can be reconstructed afterwards.

    Raises:
        InputError: if there are minutes for it, and it cannot.
    """
    if minutes and mode != "sequential":
        raise InputError(
            f"--reconstruct goes on from sequential compensation, found {mode}; add --compensation sequential"
        )
