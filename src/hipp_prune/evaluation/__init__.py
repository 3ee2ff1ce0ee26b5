"""Asking a model questions, and scoring what it answers.

In: an adapter in whatever state of pruning, and questions. Out: answer scores (logits at the answer
position), official scores with their intervals, wall time. What may be changed here alone: batching, packing,
caching of image features.
"""
