"""Statistics of the dense model: activations, visual sensitivity (Eq. 5–6) and Taylor gradients.

In: an adapter and calibration questions. Out: a ``Calibration`` and its file. What may be changed here alone:
what is measured on the dense model.
"""
