"""Rivals of the search: one file a method, each a function from a setting to a plan; see ``docs/baselines.md``.

In: a ``Setting`` (model, calibration, questions, sparsity). Out: a plan, or heads or coordinates that leave.
What may be changed here alone: a baseline.
"""
