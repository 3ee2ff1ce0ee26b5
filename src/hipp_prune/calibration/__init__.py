"""Statistics of the dense model: activations, visual sensitivity (Eq. 5–6) and Taylor gradients.

In: an adapter and calibration questions. Out: a ``Calibration`` and its file. What may be changed here alone:
what is measured on the dense model.
"""

from hipp_prune.calibration.activations import Moments
from hipp_prune.calibration.measurement import Calibration, Observations, calibrate, observe, observe_batch
from hipp_prune.calibration.visual import VisualSensitivity

__all__ = [
    "Calibration",
    "Moments",
    "Observations",
    "VisualSensitivity",
    "calibrate",
    "observe",
    "observe_batch",
]
