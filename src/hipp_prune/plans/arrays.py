"""The kinds of numpy arrays that the package computes with, and how annotations say their shapes.

``Float[Floats, "plans units"]`` is a matrix with a row a plan and a column a unit, ``Float[Tensor, "units"]`` a
torch vector; within one call a name stands for one length. jaxtyping checks that under test, where it is imported
before this module. Elsewhere shapes are comments: it need not be installed, and the command line answers before it
could be imported.
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

if TYPE_CHECKING:
    Reduced = Floats
else:
    Reduced = Any
"""Floats after a sum over the last axis: where no axis is left, a numpy scalar of shape []."""

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Int as Int
else:

    class _Unchecked:
        """What ``Float[kind, shape]`` is where nothing checks shapes: the kind of array."""

        def __class_getitem__(cls, kind_and_shape: tuple[Any, str]) -> Any:
            return kind_and_shape[0]

    Bool = Float = Int = _Unchecked
