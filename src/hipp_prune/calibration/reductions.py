"""How what attention pays to the image becomes one number a block (Eq. 5–6; no torch)."""

from typing import Literal, get_args

HeadReduction = Literal["mean", "max", "sum"]
"""How attention heads' masses on the image become one (Eq. 5): the paper takes the mean."""

TokenReduction = Literal["max", "mean", "last"]
"""How a sample's m_l(t) become one number: Eq. 6 takes the max; ``last`` is the last prompt token's."""

TOKEN_REDUCTIONS: tuple[TokenReduction, ...] = get_args(TokenReduction)
HEAD_REDUCTIONS: tuple[HeadReduction, ...] = get_args(HeadReduction)
