"""What a plan does to a model in memory: importance (Eq. 10), masks (Eq. 9), prefix views.

In: an adapter and its calibration. Out: scores of neurons; a model that behaves as pruned, and back again.
What may be changed here alone: a criterion (one function), how a plan is applied for an evaluation.
"""
